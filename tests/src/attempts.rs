//! Trying again, where it may be the machine that was at fault and not the program under test.

use std::fmt::Display;

const ATTEMPTS: usize = 3;

/// Makes up to three attempts, of which one has to succeed. Says why others have failed.
///
/// This is for tests of time with a guest in emulation. On a machine that has other work it may get no processor for
/// longer than Linux waits for a sound card, or looks at a clock too late.
///
/// # Errors
/// That of the last attempt.
pub fn one_of_three<E: Display>(mut attempt: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    for left in (0..ATTEMPTS).rev() {
        match attempt() {
            Err(error) if left > 0 => {
                println!("{error}\nThat may have been the machine: {left} attempts left.")
            }
            last => return last,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails so many times. Returns what came of it, and how many attempts were made.
    fn after_failures(failures: usize) -> (Result<(), usize>, usize) {
        let mut made = 0;
        let outcome = one_of_three(|| {
            made += 1;
            if made > failures { Ok(()) } else { Err(made) }
        });
        (outcome, made)
    }

    #[test]
    fn the_first_success_is_enough_and_the_third_failure_too() {
        assert_eq!(after_failures(0), (Ok(()), 1));
        assert_eq!(after_failures(2), (Ok(()), 3));
        assert_eq!(after_failures(3), (Err(3), 3));
    }
}
