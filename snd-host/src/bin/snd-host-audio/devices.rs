//! `snd-host devices`: what the host has to play to and to record from.

use std::fmt;

use crate::error::AudioError;
use crate::gstreamer::monitor::{HostDevice, list};
use crate::short_form::Role;

/// The sinks and sources of the host, each with the option that selects it.
#[derive(Debug)]
pub(crate) struct Devices(Vec<HostDevice>);

impl Devices {
    /// Asks GStreamer's device providers.
    pub(crate) fn find() -> Result<Self, AudioError> {
        list().map(Self)
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for role in [Role::Sink, Role::Source] {
            let devices: Vec<_> = self.0.iter().filter(|device| device.role == role).collect();
            if devices.is_empty() {
                writeln!(f, "no {role}s found; start a sound server, or install GStreamer's plugin for it")?;
                continue;
            }
            writeln!(f, "{role}s:")?;
            for HostDevice { option, name, default, .. } in devices {
                let default = if *default { " (default)" } else { "" };
                writeln!(f, "  --{role} {}\n      {name}{default}", quote(option))?;
            }
        }
        Ok(())
    }
}

/// Quotes an argument for a shell, if necessary.
fn quote(argument: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || ":,._-/=".contains(character);
    if argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_is_listed_with_the_option_that_selects_it() {
        let device = |role, option: &str, name: &str, default| HostDevice {
            role,
            option: option.into(),
            name: name.into(),
            default,
        };
        let devices = Devices(vec![
            device(Role::Sink, "pulse:out", "Built-in Audio", true),
            device(Role::Sink, "pulse:it's mine", "Headphones", false),
        ]);
        let expected = r"sinks:
  --sink pulse:out
      Built-in Audio (default)
  --sink 'pulse:it'\''s mine'
      Headphones
no sources found; start a sound server, or install GStreamer's plugin for it
";
        assert_eq!(devices.to_string(), expected);
    }
}
