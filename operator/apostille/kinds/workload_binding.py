"""WorkloadBinding: which service accounts of a namespace take on which identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Struct, field

from apostille.kinds.fields import ATOMIC, LABEL, Seconds, ServiceAccountName, Time, cel, doc, immutable
from apostille.kinds.unions import Target, target_of, target_rules
from apostille.model import names
from apostille.model.identity import ServiceAccount
from apostille.parties.party import BindingView, Party

ContainerName = Annotated[str, doc("A container's name.", max_length=63, pattern=LABEL)]


class TrustRef(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A FederationTrust by name."""

    name: Annotated[str, doc("name of a FederationTrust.", max_length=63, min_length=1)]


class Subject(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Whose assertions are exchanged."""

    service_account_names: Annotated[
        tuple[ServiceAccountName, ...],
        doc("serviceAccountNames are exact names of service accounts in this namespace.", min_length=1, max_length=64),
        ATOMIC,
    ]


class Token(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The assertion."""

    expiration_seconds: Annotated[
        Seconds,
        doc("expirationSeconds is the life of the projected token; at most the trust's ceiling.", ge=600, le=86400),
    ] = 3600


class Containers(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which containers of a pod get the identity."""

    include: Annotated[
        tuple[ContainerName, ...],
        doc(
            "include lists the containers that get the identity, init containers too; empty means all of them.",
            max_length=32,
        ),
        ATOMIC,
    ] = ()
    exclude: Annotated[
        tuple[ContainerName, ...],
        doc(
            "exclude lists containers that do not get it, such as a log shipper; not together with include.",
            max_length=32,
        ),
        ATOMIC,
    ] = ()


class Endpoint(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Credentials over HTTP on the pod's loopback."""

    type: Annotated[
        Literal["AWSContainerCredentials", "AzureManagedIdentity", "GoogleExternalAccount", "Token"],
        doc(
            "type is the protocol: AWSContainerCredentials as every AWS SDK reads it, AzureManagedIdentity as Azure's "
            "SDKs do, GoogleExternalAccount gives Google's SDKs the assertion, which they exchange themselves, Token "
            "for a GET with the secret as bearer token."
        ),
    ]
    port: Annotated[
        int,
        doc("port that the sidecar listens on, on 127.0.0.1 only; no container of the pod may declare it.", ge=1024,
            le=65535),
    ] = names.ENDPOINT_PORT  # fmt: skip


class File(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One more credential file, in the binding's own directory."""

    format: Annotated[
        Literal["AWSCredentials", "AWSProcess", "Dotenv", "JSON", "Token"],
        doc(
            "format is AWSCredentials for a shared credentials file, AWSProcess for what credential_process expects, "
            "Dotenv for lines NAME='value', JSON for every value and the end as an object, or Token for the token and "
            "nothing else."
        ),
    ]
    name: Annotated[
        str,
        doc("name of the file.", max_length=63, pattern="^[a-zA-Z0-9][-._a-zA-Z0-9]*$"),
    ]
    variable: Annotated[
        str,
        doc("variable that a token is called in a file of the format Dotenv; default TOKEN.", max_length=63,
            pattern="^([A-Z_][A-Z0-9_]*)?$"),
    ] = ""  # fmt: skip


class NotifyHTTP(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A POST without a body to 127.0.0.1."""

    port: Annotated[int, doc("port of a server in the pod.", ge=1, le=65535)]
    path: Annotated[str, doc("path of the URL.", max_length=256, pattern="^/[!-~]*$")] = "/"


class NotifySignal(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A signal; takes shareProcessNamespace and the sidecar's own user."""

    name: Annotated[Literal["HUP", "USR1", "USR2"], doc("name of the signal.")]
    process: Annotated[
        str, doc("process is the name of the program, as the kernel shows it.", max_length=63, pattern="^[^/\\s]+$")
    ]


class Notify(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Who is told of every new credential; exactly one member."""

    http: Annotated[NotifyHTTP | None, doc("http posts to a server in the pod.")] = None
    signal: Annotated[NotifySignal | None, doc("signal is sent to the processes of one program.")] = None


class DeliverySpec(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How the credential reaches the application."""

    mode: Annotated[
        Literal["Auto", "SDK", "Sidecar", "Init", "TokenOnly"],
        doc(
            "mode SDK gives the containers the assertion and the environment with which the vendor's SDK exchanges it; "
            "Sidecar gives them a credential file that the exchange sidecar keeps fresh, and keeps the assertion from "
            "them; Init writes that file once, before the other containers start, and leaves nothing running: for "
            "jobs that end before the credential does; TokenOnly gives them the assertion and nothing else; Auto is "
            "SDK where the vendor's SDK can and nothing below is asked for, else Sidecar."
        ),
    ] = "Auto"
    containers: Annotated[
        Containers,
        doc("containers selects containers of the pod."),
        cel(
            [
                {
                    "rule": "!has(self.include) || !has(self.exclude) || size(self.include) == 0 || "
                    "size(self.exclude) == 0",
                    "message": "give include or exclude, not both",
                    "fieldPath": ".exclude",
                    "reason": "FieldValueForbidden",
                }
            ]
        ),
    ] = field(default_factory=Containers)
    environment: Annotated[
        Literal["Set", "Omit"],
        doc(
            "environment Omit leaves out the variables that lead an SDK to the files: of several identities in one "
            "container each has files at paths of its own, and the application says which it means."
        ),
    ] = "Set"
    profile: Annotated[
        str,
        doc(
            "profile is the name by which the application tells this identity from others of the same vendor in one "
            "container: for AWS and MinIO, a profile of the SDKs' configuration file, which all of them share. No "
            "variable then says which one is meant. For the mode SDK.",
            max_length=63,
            pattern="^([a-zA-Z0-9][-._a-zA-Z0-9]*)?$",
        ),
    ] = ""
    endpoint: Annotated[
        Endpoint | None,
        doc("endpoint has the sidecar give the credential over HTTP on the pod's loopback, instead of its usual file."),
    ] = None
    files: Annotated[
        tuple[File, ...],
        doc("files are further ones that the sidecar keeps fresh; all of a binding switch together.", max_length=8),
        ATOMIC,
        cel(
            [
                {
                    "rule": "self.all(one, self.exists_one(other, other.name == one.name))",
                    "message": "every file needs a name of its own",
                    "reason": "FieldValueDuplicate",
                }
            ]
        ),
    ] = ()
    notify: Annotated[
        Notify | None,
        doc("notify says who is told of every new credential; nothing secret is sent."),
        cel(
            [
                {
                    "rule": "has(self.http) != has(self.signal)",
                    "message": "give exactly one of http and signal",
                    "reason": "FieldValueInvalid",
                }
            ]
        ),
    ] = None


class Validity(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """When the binding is in force."""

    not_before: Annotated[Time | None, doc("notBefore is when the binding begins.")] = None
    not_after: Annotated[Time | None, doc("notAfter is when the binding ends by itself.")] = None


class WorkloadBindingSpec(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What the application team declares."""

    trust_ref: Annotated[TrustRef, doc("trustRef names the trust that is used."), cel([immutable("trustRef")])]
    subject: Annotated[Subject, doc("subject says whose assertions are exchanged.")]
    target: Annotated[Target, doc("target is the identity taken on at the relying party."), cel(target_rules())]
    token: Annotated[Token, doc("token is about the assertion.")] = field(default_factory=Token)
    delivery: Annotated[DeliverySpec, doc("delivery says how the credential reaches the application.")] = field(
        default_factory=DeliverySpec
    )
    validity: Annotated[
        Validity,
        doc("validity bounds the binding in time."),
        cel(
            [
                {
                    "rule": "!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter",
                    "message": "notAfter must be later than notBefore",
                    "fieldPath": ".notAfter",
                    "reason": "FieldValueInvalid",
                }
            ]
        ),
    ] = field(default_factory=Validity)
    repair: Annotated[
        Literal["None", "Recreate"],
        doc(
            "repair Recreate has pods that were never injected, or carry an older plan, evicted one by one, so that "
            "the Deployment, StatefulSet, DaemonSet or ReplicaSet that owns them makes new ones. Disruption budgets "
            "are kept; pods that nobody would make again, and pods of jobs, are left alone."
        ),
    ] = "None"
    suspended: Annotated[bool, doc("suspended ends the binding while it is true.")] = False


class WorkloadBinding(Struct, frozen=True):
    """A decoded object."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: WorkloadBindingSpec
    raw_status: dict[str, Any]
    created: str = ""

    @property
    def trust_name(self) -> str:
        """The trust that it names."""
        return self.spec.trust_ref.name

    @property
    def service_accounts(self) -> tuple[ServiceAccount, ...]:
        """The pairs that it binds."""
        return tuple(ServiceAccount(self.namespace, name) for name in self.spec.subject.service_account_names)

    def view(self, party: Party, uids: Mapping[str, str] | None = None) -> BindingView:
        """What a party sees; ``target`` is None where the binding names another party's.

        With ``uids``, of service accounts by name, it is of those alone that have one.
        """
        names = self.spec.subject.service_account_names
        return BindingView(
            namespace=self.namespace,
            name=self.name,
            service_accounts=names if uids is None else tuple(name for name in names if name in uids),
            target=target_of(self.spec.target, party),
            created=self.created,
            uids=uids or {},
            endpoint=self.spec.delivery.endpoint.type if self.spec.delivery.endpoint is not None else "",
            profile=self.spec.delivery.profile,
        )
