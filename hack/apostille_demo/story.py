"""The story: what is done, why it matters, and what must come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from apostille_demo.added import added, hidden
from apostille_demo.node import Containers
from apostille_demo.page import Page
from apostille_demo.shell import WITHIN, Shell, StepFailed

FILES = Path("examples/demo")
AUDIENCE = "https://aws-prod.sts.example"
_FOLDED = ("resources", "securityContext", "startupProbe", "volumeMounts", "projected", "downwardAPI")


@dataclass(frozen=True)
class Scene:
    """What every step works with.

    ``root`` is the checkout, ``argument`` what ``hack/demo`` needs to find this demo, ``isolation`` a sentence about
    how ``containers`` run.
    """

    page: Page
    shell: Shell
    root: Path
    argument: str
    containers: Containers
    isolation: str

    @property
    def isolated(self) -> bool:
        """Whether everything can be shown."""
        return self.containers is Containers.ISOLATED

    def left_out(self, why: str) -> None:
        """Says that something is not shown on this machine."""
        self.page.note(f"Left out on this machine: {why}")


@dataclass(frozen=True)
class Step:
    """One step; ``act`` raises StepFailed."""

    title: str
    why: str
    act: Callable[[Scene], None]


def tell(scene: Scene, steps: Sequence[Step]) -> None:
    """Tells all of them. Raises StepFailed, with the title of the step as a note."""
    for number, step in enumerate(steps, 1):
        scene.page.heading(f"{number}. {step.title}")
        scene.page.why(step.why)
        try:
            step.act(scene)
        except StepFailed as failed:
            failed.add_note(f"{number}. {step.title}")
            raise


def _declare(scene: Scene) -> None:
    show = scene.shell.show
    show(f"kubectl apply -f {FILES}/00-namespace.yaml \\\n    -f {FILES}/10-trust.yaml -f {FILES}/20-bindings.yaml")
    show(
        "kubectl wait --for=condition=Ready ftrust/aws-prod --timeout=60s\n"
        "kubectl wait --for=condition=Ready wbind --all -n payments --timeout=60s",
        shows="s3-reader condition met",
    )
    show("kubectl get ftrust", shows="aws-prod .*True")
    show("kubectl get wbind -n payments", shows="s3-reader .*True")


def _render(scene: Scene) -> None:
    show = scene.shell.show
    show(
        "kubectl get configmap apostille-access-aws-prod -n apostille-system \\\n"
        "    -o jsonpath='{.data.role-payments-reader\\.json}' | tr -d '\\\\' | tr , '\\n'",
        shows="StringEquals",
        only=r'Effect|Federated|Action|Condition|StringEquals|:aud"|:sub"',
    )
    show(f"hack/demo log aws{scene.argument}", shows="role-payments-reader, role-payments-reporter$", within=WITHIN)


def _inject(scene: Scene) -> None:
    scene.shell.show(f"kubectl apply -f {FILES}/30-app.yaml", shows="pod/app created")
    _difference(scene, "app", "30-app.yaml", fold=())


def _exchange(scene: Scene) -> None:
    if scene.containers is Containers.NONE:
        scene.left_out(scene.isolation)
        return
    show = scene.shell.show
    show("kubectl logs app -n payments", shows=r"2026/11/globex\.pdf", within=WITHIN)
    show(
        f"hack/demo log aws{scene.argument} | tail -2",
        shows="sub system:serviceaccount:payments:reader",
        within=WITHIN,
    )


def _sidecar(scene: Scene) -> None:
    if not scene.isolated:
        scene.left_out(
            "the sidecar speaks to sts.eu-west-1.amazonaws.com and to nobody else, and without a network namespace its "
            f"container cannot be given that name for the demo's AWS ({scene.isolation})."
        )
        return
    scene.shell.show(f"kubectl apply -f {FILES}/40-report.yaml", shows="pod/report created")
    _difference(scene, "report", "40-report.yaml", fold=_FOLDED)
    scene.shell.show("kubectl logs report -c report -n payments", shows="invoices holds 2 objects", within=WITHIN)


def _over_broad(scene: Scene) -> None:
    scene.shell.show(f"kubectl apply -f {FILES}/50-over-broad.yaml", shows="APO103(.|\n)*APO102", fails=True)


def _unbound(scene: Scene) -> None:
    show = scene.shell.show
    count = f"hack/demo metrics{scene.argument} | grep ^apostille_admission_requests_total"
    before = show(count, shows='webhook="mutate"')
    show(f"kubectl apply -f {FILES}/60-unbound.yaml", shows="pod/batch created")
    show("kubectl get pod batch -n payments -o yaml | grep -c apostille.dev", shows="^0$", fails=True)
    after = show(count)
    if after != before:
        raise StepFailed(count, after, f"the same as before:\n{before}")
    scene.page.note("Not one call more: the API server itself knows whom to ask about.")
    show(
        f"kubectl create token batch -n payments --audience {AUDIENCE} \\\n"
        "    --bound-object-kind Pod --bound-object-name batch",
        shows="no live WorkloadBinding grants service account batch",
        fails=True,
    )


def _end(scene: Scene) -> None:
    show = scene.shell.show
    binding, account, pod = ("s3-files", "reporter", "report") if scene.isolated else ("s3-reader", "reader", "app")
    token = (
        f"kubectl create token {account} -n payments --audience {AUDIENCE} \\\n"
        f"    --bound-object-kind Pod --bound-object-name {pod}"
    )
    show(f"{token} | wc -c", shows=r"^\s*\d{3,}$")
    scene.page.note("What the node asks for to renew the pod's token: granted (counted, not shown). Then:")
    show(f"kubectl delete wbind {binding} -n payments", shows="deleted")
    if scene.isolated:
        show("kubectl logs report -c report -n payments --tail 2", shows=r"is gone\n.*boto3: ", within=WITHIN)
    else:
        scene.left_out("the sidecar, as in step 5. The rest is the same with the other binding.")
    show(token, shows=f"no live WorkloadBinding grants service account {account}", fails=True, within=WITHIN)
    show(
        f"hack/demo log aws{scene.argument} | grep 'IAM now holds' | tail -1",
        shows=f"holds oidc-provider, role-payments-{'reader' if scene.isolated else 'reporter'}$",
        within=WITHIN,
    )
    show("kubectl get wbind -n payments", shows="s3-.* True")


def _difference(scene: Scene, pod: str, file: str, fold: Sequence[str]) -> None:
    command = f"kubectl get pod {pod} -n payments -o yaml"
    applied = yaml.safe_load((scene.root / FILES / file).read_text())
    text = scene.shell.run(command)
    stored = yaml.safe_load(text)
    lines = added(applied, stored, fold)
    scene.page.command(command)
    if not any(line.startswith("+") and "apostille" in line for line in lines):
        raise StepFailed(command, text, "something of Apostille's in the pod")
    scene.page.difference(lines)
    scene.page.note(
        f"+ is what the pod has beyond {file}; not shown: its status, and {hidden(applied, stored)} lines of defaults "
        "that the API server gives to every pod."
    )


STEPS = (
    Step(
        "Two teams declare what they want",
        "The platform team trusts one AWS account, for one audience, and names who may bind. The application team "
        "binds two service accounts to a role each. Nobody creates a secret.",
        _declare,
    ),
    Step(
        "AWS is told whom to accept, and nothing broader",
        "Apostille renders AWS's own documents; the platform team's pipeline applies them. From here on AWS decides "
        "by these documents alone: issuer, audience and subject, byte for byte.",
        _render,
    ),
    Step(
        "An ordinary pod is given its identity",
        "The file says nothing of AWS. At admission the pod gets a token for exactly this audience, bound to the pod "
        "and valid for an hour, and the variables that AWS's SDKs know.",
        _inject,
    ),
    Step(
        "Its container runs: unmodified boto3, no stored key",
        "boto3 exchanges the token at STS for a role session and lists a bucket. The second command shows what AWS "
        "saw and how it decided.",
        _exchange,
    ),
    Step(
        "A program that cannot exchange tokens reads a file",
        "For this one a sidecar exchanges the token and keeps a credentials file fresh, in memory. The container "
        "never sees the token.",
        _sidecar,
    ),
    Step(
        "An over-broad audience is refused",
        "A token for a pattern, or for the API server itself, would be accepted by receivers that nobody declared.",
        _over_broad,
    ),
    Step(
        "A service account that nobody bound gets nothing, and costs nothing",
        "Its pod is stored as it was written, without a call to Apostille. Nor can anybody mint it a token for AWS: "
        "that is refused by policies in the API server, even while Apostille is down.",
        _unbound,
    ),
    Step(
        "The binding ends, and so does the access",
        "The sidecar drops the credential in the running pod, the node gets no new token, AWS's documents no longer "
        "name the service account. The other binding is untouched.",
        _end,
    ),
)


def afterwards(scene: Scene, minutes: float, seconds: float) -> None:
    """What just happened, what to try, how to stop.

    ``seconds``: how long it took, starting included. ``minutes``: how long it stays from now on.
    """
    page = scene.page
    page.heading("What just happened")
    page.item("Two YAML files, and workloads had short-lived AWS credentials: no secret was stored anywhere.")
    page.item("AWS accepted one issuer, one audience, two subjects, each for its own role.")
    page.item("Over-broad declarations were refused before they could do harm.")
    page.item("Workloads that nobody declared were neither touched nor slowed down.")
    page.item("Deleting the declaration took the access back within seconds, from a running pod.")
    page.heading("Three things to try")
    page.line(f'  eval "$(hack/demo env{scene.argument})"')
    for number, (text, commands) in enumerate(_things(scene), 1):
        page.line()
        page.progress(f"{number}. {text}")
        for command in commands:
            page.line(f"  {command}")
    page.heading(f"It took {seconds:.0f} s, and stays up for {minutes:g} minutes")
    page.line(f"  export KUBECONFIG={scene.shell.kubeconfig}")
    page.line(f"  hack/demo down{scene.argument}      # or make demo-down: stops it and removes everything")


def _things(scene: Scene) -> list[tuple[str, list[str]]]:
    look = "kubectl logs report -c report -n payments" if scene.isolated else "kubectl get wbind -n payments"
    return [
        ("The binding comes back, and with it the access, in the same pod:",
         [f"kubectl apply -f {FILES}/20-bindings.yaml", f"sleep 3; {look}"]),
        ("The kill switch: one field ends everything that rests on this trust:",
         ["kubectl patch ftrust aws-prod --type merge -p '{\"spec\":{\"suspended\":true}}'",
          "sleep 3; kubectl get wbind -n payments"]),
        ("The kinds explain themselves:", ["kubectl explain federationtrust.spec"]),
    ]  # fmt: skip
