#!/usr/bin/env bash
# daraja-sdk-py, a client of M-Pesa, does not know the mobile numbers that begin with 01.
#
# Expected: 0110 123456 and 0712 345678 are both Kenyan mobile numbers.
# Seen:     `format_phone_number` puts 254 before the second only; of the first it just takes the 0 away.
#           `is_phone_number_valid` says no to 254110123456. phonenumbers calls both numbers mobile.
# With:     daraja-sdk-py 2.0.0, phonenumberslite 9.0.42; 2026-11.
# Matters:  customers of the newer ranges could not pay, or the payment would be asked of a number that does not exist.
#           Leave the reading of numbers to phonenumbers and ask for "mobile", not for a 7.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check daraja-sdk-py==2.0.0 phonenumberslite==9.0.42

venv/bin/python - <<'PY'
import phonenumbers
from daraja.utils import format_phone_number, is_phone_number_valid

seen = {}
for typed, full in (("0712345678", "254712345678"), ("0110123456", "254110123456")):
    kind = phonenumbers.number_type(phonenumbers.parse(typed, "KE"))
    seen[typed] = (format_phone_number(typed), is_phone_number_valid(full))
    print(f"seen: {typed}: formatted {seen[typed][0]}, {full} valid: {seen[typed][1]}")
    assert kind == phonenumbers.PhoneNumberType.MOBILE
assert seen == {"0712345678": ("254712345678", True), "0110123456": ("110123456", False)}
PY
