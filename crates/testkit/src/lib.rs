//! Fake disk, fake clock and rigs for tests
