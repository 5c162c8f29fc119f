"""The story on a real node: Helm, a kubelet, real Vault and MinIO."""

from __future__ import annotations

from pathlib import Path

from apostille_demo.shell import WITHIN, StepFailed
from apostille_demo.story import Scene, Step

FILES = Path("examples/demo-node")
VAULT_AUDIENCE = "https://vault.test/v1/auth/jwt"
SUBJECT = "system:serviceaccount:payments"
UNINSTALL = "helm uninstall apostille -n apostille-system --wait"
REFUSERS = "kubectl get mutatingwebhookconfigurations,validatingadmissionpolicies -o name"


def _install(scene: Scene) -> None:
    show = scene.shell.show
    show(
        "helm install apostille charts/apostille -n apostille-system --create-namespace \\\n"
        f"    -f {FILES}/values.yaml --wait --timeout=120s",
        shows="STATUS: deployed",
        only="STATUS|DESCRIPTION",
    )
    show("kubectl get pods -n apostille-system", shows="apostille-controller-.* 1/1 +Running")


def _declare(scene: Scene) -> None:
    show = scene.shell.show
    show(f"kubectl apply -f {FILES}/00-namespace.yaml")
    show(f"hack/demo trusts{scene.argument} | kubectl apply -f -", shows="vault created")
    show(f"kubectl apply -f {FILES}/20-bindings.yaml", shows="database created")
    show(
        "kubectl wait --for=condition=Ready ftrust --all --timeout=60s\n"
        "kubectl wait --for=condition=Ready wbind --all -n payments --timeout=60s",
        shows="database condition met",
    )
    show("kubectl get ftrust", shows="vault .*True")
    show("kubectl get wbind -n payments", shows="database .*True")


def _render(scene: Scene) -> None:
    show = scene.shell.show
    show(
        "kubectl get configmap apostille-access-vault -n apostille-system \\\n"
        "    -o jsonpath='{.data.role-payments\\.json}'",
        shows="bound_subject",
        only=r'bound_(audiences|subject)"|auth/|"token_(type|ttl|max_ttl)"',
    )
    show(
        f"hack/demo log pipeline{scene.argument}",
        shows=f"policy for {SUBJECT}:reader$(.|\n)*role for {SUBJECT}:teller$|"
        f"role for {SUBJECT}:teller$(.|\n)*policy for {SUBJECT}:reader$",
        within=WITHIN,
    )


def _reader(scene: Scene) -> None:
    show = scene.shell.show
    show(f"kubectl apply -f {FILES}/30-reader.yaml", shows="job.batch/reader created")
    show("kubectl wait --for=condition=Complete job/reader -n payments --timeout=60s", shows="condition met")
    show("kubectl logs job/reader -n payments", shows=r"2026/11\.csv")


def _teller(scene: Scene) -> None:
    show = scene.shell.show
    show(f"kubectl apply -f {FILES}/40-teller.yaml", shows="pod/teller created")
    show("kubectl wait --for=condition=Ready pod/teller -n payments --timeout=60s", shows="condition met")
    show("kubectl get pod teller -n payments", shows=r"teller +2/2 +Running")
    show(
        "kubectl logs teller -n payments -c teller",
        shows="has username, password|has password, username",
        within=WITHIN,
    )
    show(
        "kubectl exec teller -n payments -c teller -- ls /var/run/secrets/apostille.dev",
        shows="No such file",
        fails=True,
    )
    scene.page.note("The container has the credential; the token that was exchanged for it only the sidecar has.")


def _nobody_else(scene: Scene) -> None:
    scene.shell.show(
        f"kubectl create token default -n payments --audience {VAULT_AUDIENCE}",
        shows="no live WorkloadBinding grants service account default",
        fails=True,
    )


def _end(scene: Scene) -> None:
    show = scene.shell.show
    token = (
        f"kubectl create token teller -n payments --audience {VAULT_AUDIENCE} \\\n"
        "    --bound-object-kind Pod --bound-object-name teller"
    )
    show(f"{token} | wc -c", shows=r"^\s*\d{3,}$")
    scene.page.note("What the node asks for to renew the pod's token: granted (counted, not shown). Then:")
    show("kubectl delete wbind database -n payments", shows="deleted")
    show("kubectl logs teller -n payments -c teller --tail 1", shows="is gone$", within=WITHIN)
    sidecar = "kubectl logs teller -n payments -c apostille-exchange | tail -2"
    show(sidecar, shows='"Revoked"', within=WITHIN)
    show(token, shows="no live WorkloadBinding grants service account teller", fails=True, within=WITHIN)
    show(f"hack/demo log pipeline{scene.argument} | tail -1", shows="has a role for nobody", within=WITHIN)
    show("kubectl get pod teller -n payments", shows=r"teller +2/2 +Running")
    show("kubectl get wbind -n payments", shows="ledger .*True")


STEPS = (
    Step(
        "Apostille is installed with Helm",
        "Two Deployments under Pod Security `restricted`, with the least rights that do; static policies bind "
        "Apostille itself.",
        _install,
    ),
    Step(
        "Two teams declare what they want",
        "The platform team trusts one MinIO and one Vault, and names who may bind. The application team binds a "
        "service account to each. Nobody creates a secret.",
        _declare,
    ),
    Step(
        "Vault and MinIO are told whom to accept, and nothing broader",
        "Apostille renders their own documents; the platform team's pipeline applies them. From here on both decide "
        "by these alone.",
        _render,
    ),
    Step(
        "An ordinary Job runs on the node: unmodified boto3, no stored key",
        "The SDK finds MinIO's endpoint and a token for exactly this server in its environment, exchanges it, and "
        "lists a bucket. The namespace is `restricted`, and stays it.",
        _reader,
    ),
    Step(
        "A program that cannot log in to Vault reads a file",
        "A sidecar logs in, keeps the token renewed in a file in memory, and revokes it in the end.",
        _teller,
    ),
    Step(
        "Nobody else can have such a token",
        "Who may mint it is decided in the API server itself, even while Apostille is down.",
        _nobody_else,
    ),
    Step(
        "The binding ends, and so does the access",
        "The sidecar drops the file in the running pod and revokes the token at Vault, the kubelet gets no new one, "
        "Vault's role is gone. The pod runs on; the other binding is untouched.",
        _end,
    ),
)


def afterwards(scene: Scene, minutes: float, seconds: float) -> None:
    """As `story.afterwards`."""
    page = scene.page
    page.heading("What just happened")
    page.item("Helm installed Apostille on a real node; a real kubelet ran ordinary pods.")
    page.item("They read MinIO and Vault with short-lived credentials: no secret was stored anywhere.")
    page.item("Both servers accept one issuer, one audience, one subject each.")
    page.item("Deleting the declaration took the access back within seconds, from a running pod.")
    page.heading("Three things to try")
    page.line(f'  eval "$(hack/demo env{scene.argument})"')
    things = (
        ("The binding comes back, and with it the access, in the same pod:",
         [f"kubectl apply -f {FILES}/20-bindings.yaml", "sleep 5; kubectl logs teller -n payments -c teller"]),
        ("What was added to a pod that says nothing of identities:",
         ["kubectl get pod teller -n payments -o yaml | grep -n apostille"]),
        ("Apostille's own processes, and what they did:",
         ["kubectl logs -n apostille-system -l app.kubernetes.io/component=controller --tail 10"]),
    )  # fmt: skip
    for number, (text, commands) in enumerate(things, 1):
        page.line()
        page.progress(f"{number}. {text}")
        for command in commands:
            page.line(f"  {command}")
    page.heading(f"It took {seconds:.0f} s, and stays up for {minutes:g} minutes")
    page.line(f"  export KUBECONFIG={scene.shell.kubeconfig}")
    page.line(f"  hack/demo down{scene.argument}      # helm uninstall, then stops it and removes everything")


def leave(scene: Scene) -> None:
    """``helm uninstall``, and the proof that nothing stays that refuses pods. Raises StepFailed."""
    scene.page.heading("Leaving")
    if scene.shell.run("helm list -n apostille-system --short"):
        scene.shell.show(UNINSTALL, shows="uninstalled")
    left = scene.shell.run(REFUSERS, within=WITHIN, shows=r"\A\Z")
    if left:
        raise StepFailed(REFUSERS, left, "nothing that refuses pods")
    scene.page.command(REFUSERS)
    scene.page.note("Nothing: no webhook and no policy stays that could refuse a pod.")
