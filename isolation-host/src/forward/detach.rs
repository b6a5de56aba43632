//! Takes a queue away from its device, and ends a queue.

use std::collections::VecDeque;

use ring_core::Segment;

use super::device_ring::ForwardError;
use super::forwarded_queue::ForwardedQueue;
use super::quarantine::FailedRequest;
use super::suspicion::Held;

impl ForwardedQueue {
    /// Takes the queue away from the device, which must not serve it any more.
    ///
    /// Requests that the device has used return to the guest with the next [`run`](Self::run).
    pub fn detach(&mut self) {
        self.collect_last();
        if self.device.take().is_some() {
            // The isolated area is dropped with the device; all requests wait for the next device.
            self.in_flight.forget_placements();
            self.backlog.set(self.guest.ids_in_order(&self.in_flight));
        }
    }

    /// Gives the guest back the requests that a lost device has used. Returns the numbers of the
    /// requests that the device left unfinished.
    pub fn held(&mut self) -> Held {
        self.collect_last();
        self.in_flight.held()
    }

    /// Takes the queue away from a device that was lost, perhaps because of one of the requests
    /// that it `held` on all queues.
    ///
    /// Returns the requests that fail because too many losses count against them.
    pub fn lose_device(&mut self, held: Held) -> Vec<FailedRequest> {
        self.guest.blame(&mut self.in_flight, held);
        self.detach();
        let memory = self.memory.view();
        let (mut failed, mut kept) = (Vec::new(), VecDeque::new());
        for id in self.backlog.drain() {
            let request = self.in_flight.get(&id);
            if !request.suspicion.is_proven() {
                kept.push_back(id);
                continue;
            }
            failed.push(FailedRequest {
                serial: self.guest.serial(&self.in_flight, &id),
                to_device: Segment::total(request.buffer.readable()),
                from_device: Segment::total(request.buffer.writable()),
            });
            self.counters.refused.add(1);
            self.guest.fail(&memory, &mut self.in_flight, id, self.device_type);
        }
        self.backlog.set(kept);
        failed
    }

    /// Gives the guest back all requests that the device has used before it was detached.
    fn collect_last(&mut self) {
        loop {
            match self.collect_used() {
                Ok(0) => return,
                Ok(_) => {}
                Err(violation) => {
                    tracing::warn!("the device broke a queue that was being detached: {violation}");
                    return;
                }
            }
        }
    }

    /// Ends the queue, which the device must not serve any more.
    ///
    /// Requests that the device has used are returned to the guest. Unfinished requests are
    /// [unpopped](Self::unpop), or fail if that is not possible. Returns whether to notify the
    /// guest, and how many requests the device had not finished.
    pub fn finish(&mut self) -> (bool, usize) {
        let before = self.backlog.len();
        self.detach();
        let unfinished = self.backlog.len() - before;
        self.unpop();
        let memory = self.memory.view();
        for id in self.backlog.drain() {
            self.refusals.count(&self.counters, ForwardError::Interrupted);
            self.guest.fail(&memory, &mut self.in_flight, id, self.device_type);
        }
        let call = self.guest.publish();
        self.count_held();
        self.guest.stop_journal();
        (call, unfinished)
    }

    /// Puts requests that no device has back into the guest's ring, as if they were never taken.
    ///
    /// Begins with the newest request, and ends at the first one that is older than a request
    /// already returned to the guest.
    pub fn unpop(&mut self) {
        while let Some(id) = self.backlog.pop_newest() {
            if let Err(id) = self.guest.unpop(&mut self.in_flight, id) {
                self.backlog.push(id);
                break;
            }
        }
    }

    /// Ends the queue of a VMM that is gone.
    ///
    /// With a journal, unfinished requests stay recorded in the journal until the VMM reconnects.
    /// Without a journal, the queue is [finished](Self::finish).
    pub fn detach_vmm(&mut self) {
        if !self.guest.has_journal() {
            self.finish();
        }
        self.detach();
        self.guest.publish();
    }
}
