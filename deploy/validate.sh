#!/bin/sh
# Checks the deployment files with the tools that are installed. What cannot be checked is named and counted.
set -eu
cd "$(dirname "$0")"
checked=0
skipped=0
if command -v promtool >/dev/null; then
  promtool check rules prometheus/alerts.yml
  promtool test rules prometheus/alerts.test.yml
  checked=$((checked + 1))
else
  echo "skipped: prometheus (promtool is not installed)"
  skipped=$((skipped + 1))
fi
echo "checked $checked, skipped $skipped"
