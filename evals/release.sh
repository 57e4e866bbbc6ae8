#!/usr/bin/env bash
# Builds wheel and source distribution, installs the wheel in a clean environment and runs it there, and through pipx.
#
#     evals/release.sh [FOLDER]     default: a temporary folder; what is built lies in FOLDER/dist
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work/empty"
work=$(cd "$work" && pwd)
step() { printf '%6d s  %s\n' "$SECONDS" "$*"; }

python3 -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet --disable-pip-version-check build pipx
rm -rf "$work/dist"
"$work/tools/bin/python" -m build --outdir "$work/dist" "$root" > "$work/build.log"
wheel=$(ls "$work"/dist/*.whl)
step "built $(ls "$work/dist" | tr '\n' ' ')"

# Torch goes first and pinned, as in the Makefile.
python3 -m venv --clear "$work/venv"
install=("$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt")
"${install[@]}" torch
"${install[@]}" "$wheel"
"$work/venv/bin/python" -m pip check
step "installed $("$work/venv/bin/rarityir" --version)"

# Nothing of the working tree, of the user's caches or of the network may help.
cd "$work/empty"
clean=(env -i PATH="$work/venv/bin:/usr/bin:/bin" HOME="$work/empty" HF_HUB_OFFLINE=1 LANG=C.UTF-8)
"${clean[@]}" rarityir doctor > "$work/doctor.txt"
"${clean[@]}" python -m rarityir --quiet eval --systems bm25,dense,dense+edge:2 > "$work/table.txt"
"${clean[@]}" python -m rarityir compare evals/cranfield-demo evals/cranfield-demo > /dev/null
step "evaluated"
cat "$work/table.txt"

export PIPX_HOME="$work/pipx" PIPX_BIN_DIR="$work/pipx/bin" PIP_CONSTRAINT="$root/constraints.txt"
"$work/tools/bin/pipx" run --spec "$wheel" rarityir --version
step "run by pipx"
