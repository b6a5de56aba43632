//! Requests of the VMM that are answered later. The VMM sends nothing meanwhile.

use std::time::Instant;

use super::Control;
use super::answer::{Answer, RequestError};
use super::pending::{Pending, Wait, Waiting};
use crate::device_link::STATE_REPLY_TIMEOUT;
use crate::protocol::{Message, Request};

impl Control {
    /// Returns whether a request of the VMM waits, so that no other request is received.
    pub(crate) fn vmm_waits(&self) -> bool {
        self.vmm.session().is_some_and(|session| session.waiting.is_some())
    }

    /// Begins to wait for the device on behalf of the VMM.
    pub(super) fn begin_wait(&self, now: Instant) -> Wait {
        Wait::limited(now, self.budget.left())
    }

    /// Begins to wait for the reply to a request.
    pub(super) fn begin_reply_wait(&self, request: Request, now: Instant) -> Wait {
        match request {
            // The VMM waits for the state without limit, and the device may take long.
            Request::CheckDeviceState => Wait::unlimited(now, STATE_REPLY_TIMEOUT),
            _ => self.begin_wait(now),
        }
    }

    /// Subtracts a wait that has ended from the budget.
    pub(super) fn end_wait(&mut self, wait: Wait, now: Instant) {
        self.budget.spend(wait.price(now));
    }

    /// Answers the VMM if the event that its request waits for has happened, or has taken too long.
    pub(super) fn continue_waiting(&mut self, now: Instant) {
        let Some(session) = self.vmm.session_mut() else { return };
        let Some(Waiting { request, what }) = session.waiting.take() else { return };
        let outcome = match what {
            Pending::Drain(drain) => Ok(self.continue_drain(drain, now)),
            Pending::Stop { index, wait } => Ok(self.continue_stop(index, wait, now)),
            Pending::StopAll { then, wait } => Ok(self.continue_stop_all(then, wait, now)),
            Pending::Reset { wait } => Ok(self.continue_reset(wait, now)),
            Pending::Relay { wait, .. } => self.continue_relay(&request, what, wait, now),
        };
        self.conclude(request, outcome);
    }

    /// Lets the VMM wait, or answers its request.
    pub(super) fn conclude(&mut self, request: Message, outcome: Result<Answer, RequestError>) {
        match outcome {
            Ok(Answer::Later(what)) => {
                if let Some(session) = self.vmm.session_mut() {
                    session.waiting = Some(Waiting { request, what });
                }
            }
            outcome => self.answer_vmm(&request, outcome),
        }
    }
}
