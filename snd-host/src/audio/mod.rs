//! The host's audio as the card uses it: another process plays and records.
//!
//! An [`Output`] is the card's side of a take that plays. It writes audio to a ring in shared
//! memory, and reads there how much has been heard. An [`Input`] reads recorded audio from such a
//! ring. Neither waits for the audio process, which may hang or be gone.
//!
//! ```text
//! event loop    Output ──▶ ring of frames ──▶ ┐
//!               Input  ◀── ring of frames ◀── ┤ audio process
//!                 │ opens, wakes, ends        │
//!                 ▼                           │
//! keeper thread Keeper ◀── messages ────────▶ ┘
//!                 │ decides: Supervision
//!                 ▼
//!               launcher process, which starts the audio process
//! ```

mod heard;
mod host_audio;
mod input;
mod keeper;
mod launcher;
mod level;
mod output;
mod supervision;
mod take_handle;

pub use self::keeper::AudioError;
pub use self::launcher::{audio_program, end_with_card, launch};

pub(crate) use self::host_audio::{HostAudio, HostAudioConfig};
pub(crate) use self::input::Input;
pub(crate) use self::launcher::{Launcher, SUBCOMMAND};
pub(crate) use self::level::Level;
pub(crate) use self::output::{AudioOutput, Ending, Output};

#[cfg(test)]
pub(crate) use self::heard::{CardView, Heard};
