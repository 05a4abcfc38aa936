#!/bin/sh
# Writes requirements.lock: exact versions of everything pyproject.toml asks for. Run it through `make lock`.
#
# Resolves with pip's own default index, whatever extra indexes or folders of wheels this machine has been
# given, so that a fresh machine finds the same versions; the file names no address for the same reason.
set -eu
cd "$(dirname "$0")/../.."

unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL
export PIP_CONFIG_FILE=/dev/null

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv --upgrade-deps "$scratch"
"$scratch/bin/pip" install --quiet --editable '.[dev]'
"$scratch/bin/pip" freeze --all --exclude-editable | grep -v '^pip==' > "$scratch/lock"
{
    echo "# Exact versions for make setup. Written by make lock; change pyproject.toml instead."
    cat "$scratch/lock"
} > "$scratch/requirements.lock"
mv "$scratch/requirements.lock" requirements.lock
echo "requirements.lock: $(grep -c == requirements.lock) packages"
