//! The append-only, checksummed log with group commit, over the disk seam
