//! Repeats a measurement that a busy machine may have disturbed.

use std::fmt::Display;

const ATTEMPTS: usize = 3;

/// Makes up to three attempts, prints the errors, and returns after the first success.
///
/// Tests that measure time in an emulated guest need this. On a busy machine the guest may be
/// without a processor for longer than Linux waits for a sound card, or may read a clock too late.
///
/// # Errors
/// Returns the error of the third attempt.
pub fn one_of_three<E: Display>(mut attempt: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    for left in (0..ATTEMPTS).rev() {
        match attempt() {
            Err(error) if left > 0 => {
                println!("{error}\nThe machine may have been too busy: {left} attempts left.")
            }
            last => return last,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails `failures` times. Returns the outcome and the number of attempts.
    fn after_failures(failures: usize) -> (Result<(), usize>, usize) {
        let mut made = 0;
        let outcome = one_of_three(|| {
            made += 1;
            if made > failures { Ok(()) } else { Err(made) }
        });
        (outcome, made)
    }

    #[test]
    fn the_first_success_or_the_third_failure_is_returned() {
        assert_eq!(after_failures(0), (Ok(()), 1));
        assert_eq!(after_failures(2), (Ok(()), 3));
        assert_eq!(after_failures(3), (Err(3), 3));
    }
}
