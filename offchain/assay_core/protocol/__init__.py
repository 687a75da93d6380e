"""Pure protocol: types, errors, encodings, manifests, economics. No I/O."""
