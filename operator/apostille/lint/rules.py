"""Rules of the lint's own: about files, not about declarations."""

from __future__ import annotations

from apostille.model.finding import EnforcedIn, Rule, Severity

_LINT: tuple[EnforcedIn, ...] = ("lint",)

SUPPRESSION = Rule(
    "LNT101", "LINT-SUPPRESSION", Severity.WARN, "A suppression does not hold",
    "Write `# apostille-lint: ignore RULE until YYYY-MM-DD: REASON`, with a date to come and a reason",
    "What is tolerated needs somebody who says why and a day on which it is looked at again. Without them, and after "
    "that day, the finding counts as if nothing had been written.",
    _LINT,
)  # fmt: skip
UNUSED = Rule(
    "LNT102", "LINT-SUPPRESSION-UNUSED", Severity.WARN, "A suppression suppresses nothing",
    "Remove it",
    "What it tolerated was mended, or it stands at the wrong place. Left there it will hide the next one.",
    _LINT,
)  # fmt: skip
INVALID = Rule(
    "LNT201", "LINT-SCHEMA", Severity.BROKEN, "The object does not fit its schema",
    "Correct the field; `kubectl explain federationtrust.spec` or `kubectl explain workloadbinding.spec` says how",
    "The API server refuses it.",
    _LINT,
)  # fmt: skip
TWICE = Rule(
    "LNT202", "LINT-DECLARED-TWICE", Severity.WARN, "The same object is declared twice",
    "Keep one of the two",
    "Which of them holds depends on the order in which they are applied.",
    _LINT,
)  # fmt: skip
POD_REFUSED = Rule(
    "LNT301", "LINT-POD-REFUSED", Severity.DENY, "A pod of this workload would be refused",
    "Change what the message names, in the workload or in the binding",
    "The pod matches a WorkloadBinding but cannot be given its identity, and a bound pod is never started without.",
    _LINT,
)  # fmt: skip
POD_WARNED = Rule(
    "LNT302", "LINT-POD-WARNED", Severity.WARN, "A pod of this workload would not get what the binding gives",
    "Change what the message names, in the workload or in the binding",
    "Something in the workload's template wins over the identity or is removed by the admission webhook.",
    _LINT,
)  # fmt: skip
NOT_CURRENT = Rule(
    "LNT401", "LINT-NOT-CURRENT", Severity.WARN, "A rendered document is not what the declarations give",
    "Render it again and commit the result",
    "What is set up at the relying party lags behind: who is bound gets in only after it, and who is bound no more "
    "still does.",
    _LINT,
)  # fmt: skip

STRANGERS = Rule(
    "LNT501", "LINT-STRANGERS", Severity.DENY, "A relying party's documents let strangers in",
    "Name the exact subjects, the one issuer and the one audience; the party's own rules beside it say where",
    "The documents were asked as the party itself would judge: by a service account of a namespace that nobody named, "
    "by one that a pattern in them stands for, and by a declared subject of another cluster.",
    _LINT,
)  # fmt: skip
NOT_ASKED = Rule(
    "LNT502", "LINT-NOT-JUDGED", Severity.WARN, "Whether strangers get in was not judged",
    "Look at it yourself",
    "Something in the documents decides it that a token's claims do not tell, or that is not evaluated here. Nothing "
    "is said rather than something that may be wrong.",
    _LINT,
)  # fmt: skip
OF_ANOTHER = Rule(
    "LNT503", "LINT-AUDIENCE-OF-ANOTHER", Severity.WARN, "A relying party's documents accept an audience of another's",
    "Name an audience of this party's own, and the same in the trust",
    "Tokens that were made for the other party are good here too: whoever receives one there can present it.",
    _LINT,
)  # fmt: skip

RULES: tuple[Rule, ...] = (
    SUPPRESSION, UNUSED, INVALID, TWICE, POD_REFUSED, POD_WARNED, NOT_CURRENT, STRANGERS, NOT_ASKED, OF_ANOTHER,
)  # fmt: skip
