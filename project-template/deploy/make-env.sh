#!/bin/sh
# Writes new random secrets for docker-compose.yml into .env (or the named file). Only its owner can read the file.
# It never replaces an existing file: with another ENCRYPTION_KEY the catalog could not be opened.
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
