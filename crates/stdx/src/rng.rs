//! Random numbers that are not secrets: jitter, picks of two, trace ids. Secrets come from the crypto provider.

/// A small, fast generator; seeded from the kernel in production and from the test's seed in tests.
pub type Rng = fastrand::Rng;

/// A generator seeded from the kernel's entropy.
///
/// # Panics
/// When the kernel has no entropy source, which cannot happen on a Linux that boots.
pub fn from_kernel() -> Rng {
    let mut seed = [0u8; 8];
    let mut filled = 0;
    while filled < seed.len() {
        filled += rustix::rand::getrandom(&mut seed[filled..], rustix::rand::GetRandomFlags::empty())
            .expect("the kernel gives random bytes");
    }
    Rng::with_seed(u64::from_le_bytes(seed))
}
