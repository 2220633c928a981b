#!/bin/sh
# Writes the secrets that docker-compose.yml needs, newly drawn, into .env (or the file named), readable by its owner only.
# An existing file is never replaced: with another ENCRYPTION_KEY a catalog cannot be opened any more.
set -eu
target=${1:-.env}
random_hex() { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; }

umask 077
set -o noclobber
{
  for name in ENCRYPTION_KEY OPERATOR_TOKEN POSTGRES_PASSWORD \
    FREEHOLD_OWNER_PASSWORD FREEHOLD_CATALOG_PASSWORD FREEHOLD_SHARED_PASSWORD; do
    echo "$name=$(random_hex)"
  done
} >"$target"
echo "wrote $target" >&2
