//! The calls that the suites test: those of the queues, or bursts of one call.

/// The packages that read the switch `ring_core_bursts`.
const SWITCHED: [&str; 2] = ["ring-core", "ring-core-support"];

/// The style of calls that the suites use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    /// The calls of a queue.
    Plain,
    /// The same calls, with each call as a burst of one call.
    Bursts,
}

impl Calls {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain calls",
            Self::Bursts => "bursts",
        }
    }

    /// Returns cargo's options. With these options, only the packages that read the switch are
    /// built again. With RUSTFLAGS, the standard library would be built again as well.
    pub(super) fn options(self) -> Vec<String> {
        match self {
            Self::Plain => Vec::new(),
            Self::Bursts => {
                let flags = r#"rustflags=["--cfg", "ring_core_bursts"]"#;
                let switch = |package| format!("--config=profile.dev.package.{package}.{flags}");
                let switches = SWITCHED.into_iter().map(switch);
                ["-Zprofile-rustflags".to_owned()].into_iter().chain(switches).collect()
            }
        }
    }
}
