"""All that can be fuzzed, by name."""

from tests.fuzz.binaries import BINARIES
from tests.fuzz.chain import CHAIN
from tests.fuzz.documents import DOCUMENTS
from tests.fuzz.models import MODELS
from tests.fuzz.services import SERVICES
from tests.fuzz.submissions import SUBMISSIONS
from tests.fuzz.target import Makers

MAKERS: Makers = {**DOCUMENTS, **CHAIN, **BINARIES, **SERVICES, **SUBMISSIONS, **MODELS}
