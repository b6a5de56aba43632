//! The process: its command line, socket, signals and sandbox, and one session after another.

mod args;
mod capabilities;
mod check;
mod devices;
mod fatal;
mod fault;
mod listen;
mod log;
mod memory_bound;
mod sandbox;
mod serve;
mod signals;

pub use self::args::{Args, Command};
pub use self::capabilities::CAPABILITIES;
pub use self::check::check;
pub use self::devices::Devices;
pub use self::listen::ListenError;
pub use self::log::LogLimit;
pub use self::sandbox::SandboxError;
pub use self::serve::{ServeError, serve};
