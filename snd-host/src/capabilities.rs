//! What management software may know before it starts this program.
//!
//! QEMU's conventions for vhost-user back-ends: `--print-capabilities` writes one JSON object. They have no
//! type for sound yet; `sound` follows their pattern.

/// The answer to `--print-capabilities`: the type, and the options beyond the conventional ones.
pub const CAPABILITIES: &str = r#"{
  "type": "sound",
  "features": ["latency", "sandbox", "sink"]
}"#;
