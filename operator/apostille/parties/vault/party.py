"""Vault as a relying party."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.party import (
    Acceptance,
    BindingView,
    Claims,
    Delivered,
    Delivery,
    Exchange,
    Format,
    Limit,
    Paths,
    TrustView,
    Verdict,
)
from apostille.parties.vault import commands, documents, resources, rules
from apostille.parties.vault import evaluate as evaluation
from apostille.parties.vault.settings import VaultTarget, VaultTrust
from apostille.rules import addresses
from apostille_exchange.recipe import Output

CA_FILE = "ca.pem"
_RENDERED = {"native": documents.render, "cli": commands.render, "terraform": resources.render}


class Vault:
    """Assertions are exchanged at the JWT auth method for a client token; the role decides who, its policies what."""

    name = "Vault"
    vendor = "Vault"
    configures = "JWT auth method, roles"
    member = "vault"
    file_names = r"config\.json|role-.+\.json"
    target_field = "role"
    audiences: Sequence[str] = ("vault",)
    Trust = VaultTrust
    Target = VaultTarget
    # No client library logs in from a token file by itself.
    deliveries: Sequence[Delivery] = ("Sidecar",)
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The auth method's own URL: no other receiver has it."""
        return str(trust.settings.method)

    def pins_instances(self, settings: VaultTrust) -> bool:
        """By a bound claim, where the trust asks for it."""
        return settings.pin_instances

    def static_credentials(self, settings: VaultTrust) -> Sequence[str]:
        """The vendor's CLI and clients take a token from there."""
        return ("VAULT_TOKEN",)

    def addresses(self, settings: VaultTrust) -> Mapping[str, str]:
        """The server's."""
        return {"address": settings.address}

    def target_id(self, target: VaultTarget) -> str:
        """The role's name."""
        return target.role

    def target_label(self, target: VaultTarget) -> str:
        """``role/NAME``."""
        return f"role/{target.role}"

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """VLT-TARGET-FORM."""
        yield from rules.target(target, path)

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """None: Vault takes every subject that Kubernetes has."""
        return ()

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience, CA, declared roles, and the documents that would be rendered."""
        yield from rules.audience(trust.audience, "spec.audience")
        yield from addresses.ca_bundle(trust.settings.ca_bundle, "spec.relyingParty.vault.caBundle")
        yield from rules.roles(trust, "spec.relyingParty.vault.roles")
        if issuer is not None:
            yield from rules.documents(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """None that a role of this kind comes near to."""
        return ()

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.VaultAccess:
        """The method's configuration, and per role the union of the subjects that are bound to it."""
        subjects: dict[str, set[str]] = {}
        uids: dict[str, set[str]] = {}
        for binding in bindings:
            subjects.setdefault(self.target_id(binding.target), set()).update(binding.subjects)
            uids.setdefault(self.target_id(binding.target), set()).update(binding.uids.values())
        policies = {role.name: role.policies for role in trust.settings.roles}
        return documents.VaultAccess(
            documents.config(issuer.url, issuer.algorithms),
            {
                name: documents.role(
                    trust.audience, subjects[name], policies.get(name), trust.session_seconds, uids[name]
                )
                for name in sorted(subjects)
            },
            trust.settings.mount,
            trust.settings.namespace,
        )

    def parse(self, files: Mapping[str, str]) -> documents.VaultAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.VaultAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def acceptances(self, access: documents.VaultAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.VaultAccess, claims: Claims, target: str) -> Verdict:
        """As the auth method would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.VaultAccess, form: Format) -> Mapping[str, str]:
        """The bodies of ``auth/MOUNT/config`` and ``auth/MOUNT/role/NAME``; ``vault``; hashicorp/vault."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> None:
        """None: see ``deliveries``."""

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered]:
        """A login by the sidecar, which keeps the token renewed in a file and revokes it in the end."""
        settings: VaultTrust = trust.settings
        path = f"{paths.credentials}/token"
        environment = {
            "VAULT_ADDR": settings.address.rstrip("/"),
            # No client reads this one; it is how programs and entrypoints that do read a token file call it.
            "VAULT_TOKEN_FILE": path,
        }
        files = {}
        if settings.namespace:
            environment["VAULT_NAMESPACE"] = settings.namespace
        if settings.ca_bundle:
            files[CA_FILE] = settings.ca_bundle
            environment["VAULT_CACERT"] = f"{paths.files}/{CA_FILE}"
        return (
            Exchange(
                grant="VaultJWT",
                endpoint=f"{settings.method}/login",
                outputs=(Output(path, "token"),),
                parameters={"role": binding.target.role},
                ca=settings.ca_bundle,
            ),
            Delivered(environment, files),
        )
