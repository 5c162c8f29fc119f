#!/bin/sh
# This service has no command line: make what the native documents say in its console, or by its API.
# Nothing is done here.
set -eu
