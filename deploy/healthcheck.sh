#!/bin/bash
# Exit code 0 if the gateway of this container answers. The shell sends the request: a Node process for each check would cost more
# CPU than an idle gateway.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${PORT:-8080}"
printf 'GET /livez HTTP/1.0\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
