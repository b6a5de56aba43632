//! The process: its command line, socket, signals and sandbox, and one session after another.

mod args;
mod capabilities;
mod close_on_exec;
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
pub use self::fatal::end_on_panic;
pub use self::listen::ListenError;
pub use self::log::init as init_log;
pub use self::sandbox::{SandboxError, Writable, enter as enter_sandbox};
pub use self::serve::{ServeError, serve};
