//! The capabilities that management software can query without starting the daemon.
//!
//! By QEMU's conventions for vhost-user back-ends, `--print-capabilities` writes one JSON object.
//! The conventions define no type for sound; `sound` follows their pattern.

/// The output of `--print-capabilities`: the type, and the options beyond the conventions.
pub const CAPABILITIES: &str = r#"{
  "type": "sound",
  "features": ["controls", "latency", "log", "name", "no-sandbox", "ring", "sink", "socket-group", "socket-mode", "source", "streams", "writable"]
}"#;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::process::args::Args;

    /// The options that each back-end has by convention.
    const CONVENTIONAL: [&str; 3] = ["socket", "fd", "print-capabilities"];

    #[test]
    fn each_option_that_is_not_conventional_is_a_feature() {
        let command = Args::command();
        let options = command.get_arguments().filter_map(|argument| argument.get_long());
        let mut features: Vec<&str> = options.filter(|option| !CONVENTIONAL.contains(option)).collect();
        features.sort_unstable();
        assert!(CAPABILITIES.contains(&format!("\"features\": {features:?}")), "{features:?}");
    }
}
