#!/bin/sh
# The SHA-256 of busybox twenty times over; the time is /proc/uptime's, in hundredths of a second.
read -r before rest < /proc/uptime
sum=$(for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do cat /bin/busybox; done | sha256sum | cut -c1-8)
read -r after rest < /proc/uptime
awk "BEGIN { printf \"bench sha256sum %.6f checksum $sum\n\", $after - $before }"
