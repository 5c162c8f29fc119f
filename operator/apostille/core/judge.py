"""The rules applied to whole declarations. Webhook, controller and lint call the same two functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from apostille.core import foreign
from apostille.core.delivery import problems, wants_sidecar
from apostille.core.pod_plan import delivery_of, paths_of, serves
from apostille.kinds.federation_trust import Allow, FederationTrust
from apostille.kinds.unions import target_members, target_of
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding
from apostille.model.identity import Issuer, ServiceAccount
from apostille.parties.party import possible
from apostille.rules import addresses, catalogue, checks
from apostille.rules.addresses import AddressPolicy
from apostille.rules.modes import Modes


@dataclass(frozen=True, slots=True)
class Context:
    """What judgement needs beside the object. ``issuer`` is None while it is not known: rules that need it wait.

    ``modes`` are the installation's, ``tightened`` what namespaces add to them.
    """

    issuer: Issuer | None
    own_namespace: str
    addresses: AddressPolicy = field(default_factory=AddressPolicy)
    modes: Modes = field(default_factory=Modes)
    tightened: Mapping[str, Modes] = field(default_factory=dict)

    def modes_in(self, namespace: str) -> Modes:
        """What holds in a namespace."""
        return self.modes.tightened(self.tightened.get(namespace, _NO_MODES))


_NO_MODES = Modes()


def judge_trust(trust: FederationTrust, others: Iterable[FederationTrust], context: Context) -> list[Finding]:
    """All findings on a trust, in field order. ``others`` are the cluster's other trusts."""
    findings: list[Finding] = []
    view, party = trust.view, trust.party
    findings += checks.audience(trust.audience, "spec.audience", context.issuer)
    findings += foreign.audience(trust.audience, "spec.audience", party)
    findings += party.findings(view, (), context.issuer)
    if context.issuer is not None:
        findings += checks.issuer(context.issuer, "spec.issuer")
    for name, url in party.addresses(view.settings).items():
        path = f"spec.relyingParty.{party.member}.{name}"
        findings += addresses.address(url, path, context.addresses, context.issuer)
    for i, allow in enumerate(trust.spec.allow):
        path = f"spec.allow[{i}]"
        findings += checks.namespace(allow.namespace, f"{path}.namespace", context.own_namespace)
        for j, name in enumerate(allow.service_accounts):
            findings += checks.service_account(allow.namespace, name, f"{path}.serviceAccounts[{j}]")
            findings += party.check_subject(
                ServiceAccount(allow.namespace, name).subject, f"{path}.serviceAccounts[{j}]"
            )
        for j, target in enumerate(allow.targets):
            findings += party.check_target_id(view, target, f"{path}.targets[{j}]")
    findings += checks.lifetime(trust.spec.ceilings.assertion_seconds, "spec.ceilings.assertionSeconds")
    findings += _shared(trust, others)
    return context.modes.applied(checks.first_of_each(findings))


def _shared(trust: FederationTrust, others: Iterable[FederationTrust]) -> Iterable[Finding]:
    """X-AUD-SHARED: cut-off is per (audience, service account), so two trusts would keep each other's tokens alive."""
    mine = allowed_pairs(trust)
    for other in others:
        if other.name == trust.name or other.audience != trust.audience:
            continue
        if trust.spec.shared_audience and other.spec.shared_audience:
            continue
        if both := sorted(mine & allowed_pairs(other)):
            account = both[0]
            yield catalogue.AUD_SHARED.at(
                "spec.audience",
                f"FederationTrust {other.name} uses {trust.audience!r} too and also allows "
                f"{account.name} of namespace {account.namespace}",
            )


def shares_audience(trust: FederationTrust, others: Iterable[FederationTrust]) -> list[str]:
    """Names of the trusts that keep this one's tokens alive (both sides have agreed to that)."""
    mine = allowed_pairs(trust)
    return sorted(
        other.name
        for other in others
        if other.name != trust.name and other.audience == trust.audience and mine & allowed_pairs(other)
    )


def allowed_pairs(trust: FederationTrust) -> set[ServiceAccount]:
    """The pairs that a trust's allow list names."""
    return {ServiceAccount(allow.namespace, name) for allow in trust.spec.allow for name in allow.service_accounts}


def judge_binding(binding: WorkloadBinding, trust: FederationTrust | None, context: Context) -> list[Finding]:
    """All findings on a binding, in field order; without a trust only those that need none."""
    findings: list[Finding] = []
    findings += checks.namespace(binding.namespace, "metadata.namespace", context.own_namespace)
    for i, name in enumerate(binding.spec.subject.service_account_names):
        path = f"spec.subject.serviceAccountNames[{i}]"
        findings += checks.service_account(binding.namespace, name, path)
        if trust is not None:
            account = ServiceAccount(binding.namespace, name)
            findings += trust.party.check_subject(account.subject, path)
            findings += _allowed(binding, trust, account, path)
    ceiling = None
    if trust is not None:
        findings += _target(binding, trust)
        ceiling = trust.spec.ceilings.assertion_seconds
        if (mode := binding.spec.delivery.mode) not in ("Auto", *possible(trust.party.deliveries)):
            findings.append(
                catalogue.NOT_ALLOWED.at(
                    "spec.delivery.mode",
                    f"{mode} is not possible for {trust.party.name}",
                    f"Choose one of Auto, {', '.join(possible(trust.party.deliveries))}",
                )
            )
        elif not findings:
            findings += _served(binding, trust)
        findings += _delivery(binding, trust)
        findings += _profile(binding, trust)
    findings += checks.lifetime(binding.spec.token.expiration_seconds, "spec.token.expirationSeconds", ceiling)
    return context.modes_in(binding.namespace).applied(checks.first_of_each(findings))


def _served(binding: WorkloadBinding, trust: FederationTrust) -> Iterable[Finding]:
    if target_of(binding.spec.target, trust.party) is None or serves(trust, binding, delivery_of(trust, binding)):
        return
    can = [way for way in possible(trust.party.deliveries) if serves(trust, binding, way)]
    # Where nothing else is there, the trust does not know the target, and that is told.
    if can != ["TokenOnly"]:
        yield catalogue.NOT_ALLOWED.at(
            "spec.delivery.mode",
            f"{delivery_of(trust, binding)} is not possible with what FederationTrust {trust.name} describes",
            f"Choose one of Auto, {', '.join(can)}",
        )


def _delivery(binding: WorkloadBinding, trust: FederationTrust) -> Iterable[Finding]:
    spec, party = binding.spec.delivery, trust.party
    if not wants_sidecar(spec):
        return
    asked = [name for name in ("endpoint", "files", "notify") if getattr(spec, name)]
    # What runs once leaves files, and nobody who could answer or tell.
    living = asked if spec.mode != "Init" else [name for name in asked if name != "files"]
    if living and (spec.mode not in ("Auto", "Sidecar") or "Sidecar" not in party.deliveries):
        yield catalogue.NOT_ALLOWED.at(
            f"spec.delivery.{living[0]}", "only the exchange sidecar delivers this",
            "Choose the mode Sidecar, or drop it",
        )  # fmt: skip
        return
    own = binding.view(party)
    made = party.exchange(trust.view, own, paths_of(binding.name)) if own.target is not None else None
    if made is not None:
        for where, what in problems(spec, made[0], party.name, paths_of(binding.name)):
            yield catalogue.NOT_ALLOWED.at(f"spec.delivery.{where}", what, "Choose another one")


def _profile(binding: WorkloadBinding, trust: FederationTrust) -> Iterable[Finding]:
    if not binding.spec.delivery.profile or target_of(binding.spec.target, trust.party) is None:
        return
    way = delivery_of(trust, binding)
    if way != "SDK":
        yield catalogue.NOT_ALLOWED.at(
            "spec.delivery.profile", f"with {way} no SDK chooses among profiles",
            "Choose the mode SDK, or drop it: with delivery.environment: Omit each binding has files of its own",
        )  # fmt: skip
        return
    made = trust.party.sdk(trust.view, binding.view(trust.party), paths_of(binding.name))
    if made is not None and made.section is None:
        yield catalogue.NOT_ALLOWED.at(
            "spec.delivery.profile", f"{trust.party.name}'s SDKs have no profiles that hold such an identity",
            "Drop it, and give each binding its own containers",
        )  # fmt: skip


def _allowed(binding: WorkloadBinding, trust: FederationTrust, account: ServiceAccount, path: str) -> Iterable[Finding]:
    in_namespace = [allow for allow in trust.spec.allow if allow.namespace == account.namespace]
    if not in_namespace:
        yield catalogue.NOT_ALLOWED.at(
            "metadata.namespace", f"FederationTrust {trust.name} does not allow namespace {account.namespace}"
        )
    elif not any(account.name in allow.service_accounts for allow in in_namespace):
        yield catalogue.NOT_ALLOWED.at(
            path,
            f"FederationTrust {trust.name} does not allow service account {account.name} of namespace "
            f"{account.namespace} (allowed there: "
            f"{_some(name for allow in in_namespace for name in allow.service_accounts)})",
        )


def _target(binding: WorkloadBinding, trust: FederationTrust) -> Iterable[Finding]:
    party = trust.party
    path = f"spec.target.{party.member}.{party.target_field}"
    target = target_of(binding.spec.target, party)
    if target is None:
        named = target_members(binding.spec.target)[0]
        yield catalogue.NOT_ALLOWED.at(
            f"spec.target.{named}",
            f"FederationTrust {trust.name} is for {party.name}",
            f"Name the target in {path}",
        )
        return
    wanted = party.target_id(target)
    findings = list(party.check_target_id(trust.view, wanted, path))
    yield from findings
    if findings:
        return
    for account in binding.service_accounts:
        mine = _naming(trust.spec.allow, account)
        if mine and not any(wanted in allow.targets for allow in mine):
            yield catalogue.NOT_ALLOWED.at(
                path,
                f"FederationTrust {trust.name} does not allow {account.name} of namespace {account.namespace} to take "
                f"on {wanted} (allowed: {_some(target for allow in mine for target in allow.targets)})",
            )


def _naming(allows: Sequence[Allow], account: ServiceAccount) -> list[Allow]:
    return [
        allow for allow in allows if allow.namespace == account.namespace and account.name in allow.service_accounts
    ]


def _some(values: Iterable[str], most: int = 5) -> str:
    unique = sorted(set(values))
    return ", ".join(unique[:most]) + (f" and {len(unique) - most} more" if len(unique) > most else "")
