"""Files on their way in and out: hashing, the hash cache, manifests, copies, and trees that nothing gets out of."""
