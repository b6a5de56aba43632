//! Requests that change the state of a stream.

use tracing::debug;

use super::answer::{Answer, Change, Effect};
use super::control_request::ControlRequest;
use crate::pcm::{Params, ParamsError};
use crate::spec::{PcmHeader, PcmSetParams, Status};
use crate::stream::{Command, Stream};

/// Answers SET_PARAMS.
pub(super) fn set_params(request: ControlRequest<'_>, streams: &mut [Stream]) -> Answer {
    let Some(asked) = request.parse::<PcmSetParams>() else {
        return Status::BadMsg.into();
    };
    let Some((id, stream)) = find(asked.header, streams) else {
        return Status::BadMsg.into();
    };
    let Some(state) = stream.state.after(Command::SetParams) else {
        debug!(stream = id, state = ?stream.state, "SET_PARAMS is not allowed in this state");
        return Status::BadMsg.into();
    };
    match Params::parse(&asked) {
        Ok(params) => {
            debug!(stream = id, ?params);
            (stream.state, stream.params) = (state, Some(params));
            changed(id, Change::End)
        }
        Err(error) => {
            debug!(stream = id, %error, "parameters refused");
            match error {
                ParamsError::Sizes { .. } => Status::BadMsg.into(),
                ParamsError::Format(_)
                | ParamsError::Rate(_)
                | ParamsError::Channels(_)
                | ParamsError::Features(_) => Status::NotSupp.into(),
            }
        }
    }
}

/// Answers the other requests.
pub(super) fn command(request: ControlRequest<'_>, command: Command, streams: &mut [Stream]) -> Answer {
    let found = request.parse().and_then(|header| find(header, streams));
    let Some((id, stream)) = found else {
        return Status::BadMsg.into();
    };
    let (Some(state), Some(params)) = (stream.state.after(command), stream.params) else {
        debug!(stream = id, state = ?stream.state, "{command:?} is not allowed in this state");
        return Status::BadMsg.into();
    };
    debug!(stream = id, ?command);
    stream.state = state;
    let change = match command {
        Command::Prepare => Change::Prepare(params),
        Command::Start => Change::Start,
        Command::Stop => Change::Stop,
        Command::SetParams | Command::Release => Change::End,
    };
    changed(id, change)
}

fn find(header: PcmHeader, streams: &mut [Stream]) -> Option<(usize, &mut Stream)> {
    let id = usize::try_from(header.stream_id.get()).ok()?;
    streams.get_mut(id).map(|stream| (id, stream))
}

fn changed(stream: usize, change: Change) -> Answer {
    Answer { effect: Some(Effect::Take { stream, change }), ..Status::Ok.into() }
}
