#!/bin/sh
# Run a stage in a clone of its own that shares the study's cache, so that many run at once: docs/scale.md, Ray jobs.
# tools/on_clone.sh STUDY STAGE; a clone whose stage failed or was killed stays, and the next call goes on there.
set -eu
study=$1 stage=$2
clone=$study.jobs/$stage
[ -d "$clone/.git" ] || git clone --quiet "$study" "$clone"
cd "$clone"
git fetch --quiet origin HEAD
git reset --quiet --hard FETCH_HEAD
dvc cache dir --local "$study/.dvc/cache"
dvc repro "$stage"
cd /
rm -rf "$clone"
