"""Claims on telephone numbers: in which forms they are found, and which other numbers are none."""

import random

import phonenumbers as plan
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import private
from tests.filters.measuring import Measured

TRUNK = ("GB", "DE", "FR", "AU", "IN", "IL", "NL", "JP", "SE")  # whose national form begins with 0
BARE = ("IT", "ES", "PL", "PT", "NO", "DK", "MX", "CN")  # whose national form might be any number's


def subscribers(region: str, count: int = 40) -> list[str]:
    """Give valid mobile numbers of a region in libphonenumber's national form, none of them invented by its digits."""
    rng = random.Random(region)
    example = plan.example_number_for_type(region, plan.PhoneNumberType.MOBILE)
    assert example is not None
    told = str(example.national_number)
    found: list[str] = []
    while len(found) < count:
        digits = told[:2] + "".join(rng.choice("0123456789") for _ in told[2:])
        number = plan.PhoneNumber(country_code=example.country_code, national_number=int(digits))
        if plan.is_valid_number(number) and plan.number_type(number) in {
            plan.PhoneNumberType.MOBILE,
            plan.PhoneNumberType.FIXED_LINE_OR_MOBILE,
        }:
            found.append(plan.format_number(number, plan.PhoneNumberFormat.NATIONAL))
    return found


@pytest.mark.parametrize("region", ["US", *TRUNK])
def test_a_national_form_that_no_other_number_has_is_found_without_a_word(measured: Measured, region: str) -> None:
    found = [measured(private.phones(), f"I wrote {number} down.") for number in subscribers(region)]
    assert sum(count == 1 for count in found) >= 36


@pytest.mark.parametrize("region", ["US", *TRUNK, *BARE])
@pytest.mark.parametrize("text", ["My phone number is {}.", "Call me on {}!", "mobile: {}", "{} is her mobile"])
def test_any_national_form_is_found_beside_a_word_of_telephony(measured: Measured, region: str, text: str) -> None:
    numbers = [number for number in subscribers(region) if text[0] != "{" or region not in {"PL", "PT"}]
    found = [measured(private.phones(), text.format(number)) for number in numbers]
    assert sum(count == 1 for count in found) >= 0.9 * len(found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("call me on 467 3395, or +44 7911 824 617, or (212) 664-7665x12, fax: 0490 75 40 81", 4),
        ("Berlin: 0049 30 901820", 1),
        ("Tel. 030/901820", 1),
        ("see 415-255-5312 or +44 20 7155 5123", 2),  # 555, but across the groups
        ("电话+8613910368672", 1),
        ("电话\uff1a139 1036 8672\uff0c手机号码是13910368671", 2),
        ("전화번호는 010-3732-4137입니다", 1),
        ("numéro de téléphone : 06 12 37 40 35", 1),
        ("You find me in the mobile network as 612 31 96 49.", 1),
        ("The phones are 555-0142, 612 319 649 and 611 319 648.", 2),
        ("Ann Lee\nSmith Ltd.\n28-64-66-98 office\n930.167.3943 fax\n", 2),
        ("+1-984-182-0190 mobile", 1),  # in no plan, but of the length and told
    ],
)
def test_a_number_is_told_by_its_form_or_by_the_words_beside_it(measured: Measured, text: str, count: int) -> None:
    assert measured(private.phones(), text) == count


@pytest.mark.parametrize(
    "text",
    [
        "born 12-05-1984, 3.141592653, 514-69-0360, 192.168.100.200, 555-0142, 1234567890",
        "The speed of light is 299 792 458 m/s.",
        "what we call the speed of light, 299 792 458",
        "population of 331 002 651",
        "phone sales reached 331 002 651 units",
        "Avogadro 602 214 076",
        "charge of +1 602 176 634",
        "512 256 128",
        "fax 100 200 300",
        "call me at 1990 2000 2010",
        "call us on 12-05-2024",
        "01 02 03 04 05",
        "05.06.07.08.09",
        "lottery: 04 11 23 32 45",
        "007 013 042",
        "sort 52 58 40 26 and 612 31 96 49",
        "ISBN 0-19-852663-6, 978-0-306-40615-7",
        "415-555-2671, (415) 555-2671, +1 415 555 2671, 1-415-555-2671, call 555-3210, 555-123-4567",
        "the hotline 1-800-273-8255, or 1-800-656-HOPE",
    ],
)
def test_other_numbers_and_invented_ones_and_free_helplines_are_no_phone_numbers(measured: Measured, text: str) -> None:
    assert measured(private.phones(), text) == 0


@given(st.lists(st.integers(0, 999), min_size=2, max_size=5))
def test_no_number_in_groups_of_three_is_a_phone_number_without_a_word(measured: Measured, groups: list[int]) -> None:
    assert measured(private.phones(), f"It counts {' '.join(f'{group:03}' for group in groups)} in all.") == 0


@given(st.integers(0, 99), st.integers(1, 20), st.integers(3, 7))
def test_no_series_of_two_digit_numbers_is_a_phone_number(
    measured: Measured, first: int, step: int, count: int
) -> None:
    for mark in " .-":
        series = mark.join(f"{(first + step * at) % 100:02}" for at in range(count))
        if first + step * (count - 1) < 100:
            assert measured(private.phones(), f"The draw: {series}.") == 0


def test_the_key_in_json_says_what_a_number_is(measured: Measured) -> None:
    assert measured(private.phones(), '{"homePhone": "467 3395", "mobile_number": 612319649, "total": 612319649}') == 2
