#!/bin/sh
# Write every lock file anew from the pyproject files. The locks carry hashes and name no package registry.
set -eu
cd "$(dirname "$0")/.."
UV=${UV:-.venv/bin/uv}
LOCALS="contracts chassis gateway identity-svc card-svc payment-svc scenario-svc interop-svc clients/onecard clients/ecard deploy/local deploy/local/simulators"
FOLDERS=""; NAMES=""
for d in $LOCALS; do
    extras=""
    [ "$d" = chassis ] && extras="[web,store,bus]"
    FOLDERS="$FOLDERS ./$d$extras"
    NAMES="$NAMES --no-emit-package $(sed -n 's/^name = "\(.*\)"/\1/p' "$d/pyproject.toml")"
done
compile() { "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate $NAMES "$@"; }
printf '%s\n' $FOLDERS > requirements/.all.in
compile requirements/.all.in -o requirements/all.lock
compile requirements/.all.in requirements/dev.in -c requirements/all.lock -o requirements/dev.lock
for d in gateway identity-svc card-svc payment-svc scenario-svc interop-svc; do
    printf '%s\n' ./contracts ./chassis "./$d" > "requirements/.$d.in"
    compile "requirements/.$d.in" -c requirements/all.lock -o "requirements/$d.lock"
done
rm -f requirements/.*.in
"$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements/uv.lock - <<X
uv
X
