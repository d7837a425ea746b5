"""Reads targets with python-tuf: read.py METADATA_URL TARGETS_URL ANCHOR DIRECTORY NAME…

Prints {"name": sha256 of the downloaded content, or null where no role has it} as JSON. Status 1 on any error.
"""

import hashlib
import json
import os
import sys

from tuf.ngclient import Updater

metadata_url, targets_url, anchor, directory, *names = sys.argv[1:]
metadata = os.path.join(directory, "metadata")
targets = os.path.join(directory, "targets")
os.makedirs(metadata, exist_ok=True)
os.makedirs(targets, exist_ok=True)
with open(anchor, "rb") as file:
    updater = Updater(metadata, metadata_url, targets, targets_url, bootstrap=file.read())
updater.refresh()
result = {}
for name in names:
    found = updater.get_targetinfo(name)
    result[name] = None
    if found is not None:
        with open(updater.download_target(found), "rb") as file:
            result[name] = hashlib.sha256(file.read()).hexdigest()
print(json.dumps(result))
