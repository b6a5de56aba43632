//! What the VMM asks, and the answers: isolation-host as a vhost-user back-end.

use std::io;
use std::time::Instant;

use thiserror::Error;

use super::queue::StartError;
use super::vmm::News;
use super::{Host, Source};
use crate::causes::WithCauses;
use crate::device_link::LinkError;
use crate::guest_memory::RegionError;
use crate::journal::JournalError;
use crate::mmap::MapError;
use crate::negotiation::{self, NegotiationError};
use crate::protocol::payload::{SingleRegion, VringAddr, VringFd, VringState};
use crate::protocol::{Channel, Malformed, Message, Request};

/// How many memory regions a VMM may share: as many as vhost in the kernel takes. It must not become fewer.
const MEMORY_SLOTS: u64 = 509;

/// How a request is answered.
pub(super) enum Answer {
    /// With an acknowledgement, if the VMM wants one.
    Done,
    /// With this message.
    Reply(Message),
    /// Later.
    Later,
}

/// A request that was not carried out. The VMM is told where it asked to be, and goes on.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it is not supported")]
    Unsupported,
    #[error("message {0} is unknown")]
    Unknown(u32),
    #[error("queue {index} does not exist: there are {queues}")]
    NoSuchQueue { index: u64, queues: usize },
    #[error("a queue of {num} descriptors")]
    QueueSize { num: u32 },
    #[error("queue {index} runs, so this cannot be changed")]
    Running { index: usize },
    #[error("queue {index} is to be polled for ever, which isolation-host does not do")]
    NoKick { index: usize },
    #[error("{count} memory regions with {fds} file descriptors in {bytes} bytes")]
    MemoryTable { count: u32, fds: usize, bytes: usize },
    #[error("{bytes} bytes of configuration where {size} were announced")]
    Config { bytes: usize, size: u32 },
    #[error("the device answers with {bytes} bytes of configuration where {asked} were asked for")]
    ConfigAnswer { bytes: usize, asked: usize },
    #[error(transparent)]
    Map(#[from] MapError),
    #[error(transparent)]
    Region(#[from] RegionError),
    #[error(transparent)]
    Features(#[from] NegotiationError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the device is not there")]
    NoDevice,
    #[error(transparent)]
    Device(#[from] LinkError),
    #[error("a file descriptor cannot be used")]
    Descriptor(#[from] io::Error),
}

impl Host {
    /// Carries out one request of the VMM's.
    pub(super) fn serve(&mut self, mut message: Message) {
        let name = Request::try_from(message.request);
        tracing::trace!("the VMM asks {name:?} with {} bytes", message.payload.len());
        let outcome = match name {
            Ok(request) => self.carry_out(request, &mut message),
            Err(_) => Err(RequestError::Unknown(message.request)),
        };
        let refused = u64::from(outcome.is_err());
        let answer = outcome.unwrap_or_else(|error| {
            let error = WithCauses(&error);
            match name {
                Ok(request) => tracing::warn!("the VMM's {request:?} is refused: {error}"),
                Err(_) => tracing::warn!("the VMM's request is refused: {error}"),
            }
            match name {
                // It would wait for ever, so it gets an answer that cannot be taken for one.
                Ok(request) if request.has_reply() => Answer::Reply(message.reply(&[0u8; 0])),
                _ => Answer::Done,
            }
        });
        match answer {
            Answer::Reply(reply) => self.reply(&reply),
            Answer::Done if message.needs_reply() => self.reply(&message.reply(&refused)),
            Answer::Done | Answer::Later => {}
        }
    }

    /// Sends the VMM an answer.
    pub(super) fn reply(&mut self, reply: &Message) {
        let sent = self.vmm.session().map(|session| session.channel.send(reply));
        if let Some(Err(error)) = sent {
            self.lose_vmm(&WithCauses(&error).to_string());
        }
    }

    fn carry_out(&mut self, request: Request, message: &mut Message) -> Result<Answer, RequestError> {
        match request {
            Request::GetFeatures => {
                return Ok(Answer::Reply(message.reply(&negotiation::offered(self.offer.features))));
            }
            Request::SetFeatures => self.set_features(message.body()?)?,
            Request::GetProtocolFeatures => {
                let offered = negotiation::protocol_offered(self.offer.protocol);
                return Ok(Answer::Reply(message.reply(&offered)));
            }
            // What was offered means the same whether it is used or not.
            Request::SetProtocolFeatures | Request::SetOwner => {}
            Request::ResetOwner => self.end_all_queues(),
            Request::ResetDevice => self.reset_device(),
            Request::SetMemTable => self.set_memory_table(message)?,
            Request::GetMaxMemSlots => return Ok(Answer::Reply(message.reply(&MEMORY_SLOTS))),
            Request::AddMemReg => self.add_memory(message)?,
            Request::RemMemReg => self.memory.remove(&message.body::<SingleRegion>()?.region)?,
            Request::SetLogBase => {
                self.take_log(message)?;
                return Ok(Answer::Reply(message.reply(&0u64)));
            }
            // Whoever wants to be told of each write to the log polls it instead.
            Request::SetLogFd => {}
            Request::SetVringNum | Request::SetVringBase | Request::SetVringAddr => {
                self.configure_queue(request, message)?;
            }
            Request::GetVringBase => return self.stop_queue(message),
            Request::SetVringKick | Request::SetVringCall | Request::SetVringErr => {
                self.set_notifier(request, message)?;
            }
            Request::SetVringEnable => {
                let VringState { index, num } = message.body()?;
                let index = self.queue_index(index.into())?;
                if let Some(queue) = self.queues.get_mut(index) {
                    queue.enabled = num != 0;
                }
                if let Err(error) = self.apply_enable(index) {
                    self.lose_device(&WithCauses(&error).to_string());
                }
            }
            Request::GetQueueNum => {
                let units = u64::from(self.offer.queues) / self.options.device_type.queues_per_unit();
                return Ok(Answer::Reply(message.reply(&units)));
            }
            Request::GetConfig | Request::SetConfig => return self.configuration(request, message),
            Request::GetInflightFd => return self.make_journals(message),
            Request::SetInflightFd => self.take_journals(message)?,
            Request::SendRarp
            | Request::NetSetMtu
            | Request::CreateCryptoSession
            | Request::CloseCryptoSession
            | Request::SetDeviceStateFd
            | Request::CheckDeviceState => return self.pass_on(request, message),
            Request::SetStatus => {
                if let Some(session) = self.vmm.session_mut() {
                    session.status = message.body()?;
                }
            }
            Request::GetStatus => {
                let status = self.vmm.session().map_or(0, |session| session.status);
                return Ok(Answer::Reply(message.reply(&status)));
            }
            Request::SetBackendReqFd => {
                let channel = Channel::new(message.take_fd()?);
                if let Some(session) = self.vmm.session_mut() {
                    session.news = Some(News { channel, next: Instant::now(), due: false });
                }
            }
            Request::IotlbMsg
            | Request::SetVringEndian
            | Request::PostcopyAdvise
            | Request::PostcopyListen
            | Request::PostcopyEnd
            | Request::GpuSetSocket
            | Request::VringKick
            | Request::GetSharedObject
            | Request::GetShmemConfig => return Err(RequestError::Unsupported),
        }
        Ok(Answer::Done)
    }

    fn set_features(&mut self, wanted: u64) -> Result<(), RequestError> {
        negotiation::accept(self.offer.features, wanted)?;
        if let Some(session) = self.vmm.session_mut() {
            session.features = wanted;
        }
        self.update_log();
        let Some(features) = self.device.as_ref().map(|link| link.features) else { return Ok(()) };
        let asked = self.asked(features, wanted)?;
        if let Some(Err(error)) = self.device.as_mut().map(|link| link.set_features(asked)) {
            self.lose_device(&WithCauses(&error).to_string());
        }
        Ok(())
    }

    /// The index of a queue that exists.
    pub(super) fn queue_index(&self, index: u64) -> Result<usize, RequestError> {
        let queues = self.queues.len();
        let known = usize::try_from(index).ok().filter(|index| *index < queues);
        known.ok_or(RequestError::NoSuchQueue { index, queues })
    }

    fn configure_queue(&mut self, request: Request, message: &Message) -> Result<(), RequestError> {
        if request == Request::SetVringAddr {
            let areas: VringAddr = message.body()?;
            let index = self.queue_index(areas.index.into())?;
            if let Some(queue) = self.queues.get_mut(index) {
                // A running queue stays where it is; only its logging changes, which needs no flag here.
                queue.areas = Some(areas);
            }
            return Ok(());
        }
        let VringState { index, num } = message.body()?;
        let index = self.queue_index(index.into())?;
        let Some(queue) = self.queues.get_mut(index) else { return Ok(()) };
        if queue.is_started() {
            return Err(RequestError::Running { index });
        }
        if request == Request::SetVringNum {
            let size = u16::try_from(num).ok().filter(|size| (1..=32768).contains(size));
            queue.size = size.ok_or(RequestError::QueueSize { num })?;
        } else {
            queue.base = num;
        }
        Ok(())
    }

    fn set_notifier(&mut self, request: Request, message: &mut Message) -> Result<(), RequestError> {
        let what = VringFd(message.body()?);
        let index = self.queue_index(what.index())?;
        let fd = if what.says_no_fd() { None } else { Some(message.take_fd()?) };
        if request == Request::SetVringKick && fd.is_none() {
            return Err(RequestError::NoKick { index });
        }
        let Some(queue) = self.queues.get_mut(index) else { return Ok(()) };
        match request {
            Request::SetVringCall => queue.lane().call = fd,
            Request::SetVringErr => queue.lane().error = fd,
            _ => {
                if let Some(old) = std::mem::replace(&mut queue.kick, fd) {
                    self.workers.ignore(index, &old);
                }
                if !queue.is_started() {
                    return Ok(self.start_queue(index)?);
                }
                if let Some(kick) = &queue.kick {
                    let source = Source::GuestKick(u16::try_from(index).unwrap_or(u16::MAX));
                    self.workers.listen(index, kick, source)?;
                }
            }
        }
        self.wake(index);
        Ok(())
    }
}
