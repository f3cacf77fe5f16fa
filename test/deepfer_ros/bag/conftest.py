import pytest
from fake_extraction import Extractor


@pytest.fixture
def extractor() -> Extractor:
    return Extractor()
