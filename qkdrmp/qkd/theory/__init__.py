"""What theory says of key networks: the largest flow, the bound on deliverable keys, and closed laws."""
