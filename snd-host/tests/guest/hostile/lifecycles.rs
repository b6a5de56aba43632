//! Requests in orders and with values that no real driver sends.

use super::{BAD_MSG, Case, NOT_SUPP, prepared, refused, run};
use crate::support::{Guest, OK, counting, set_params, words};
use snd_host::spec::request;

pub(super) const CASES: &[Case] = &[
    ("parameters twice", |guest| (0..2).for_each(|_| guest.must(&set_params(7680, 1920)))),
    ("PREPARE twice, with messages in between", |guest| {
        prepared(guest, |guest| {
            guest.play(0, &counting(0..480));
            guest.must(&words(&[request::PCM_PREPARE, 0]));
            assert_eq!(guest.played().status, OK);
        });
    }),
    ("parameters after messages", |guest| {
        guest.prepare(0, 4);
        guest.play(0, &counting(0..480));
        guest.must(&set_params(3840, 1920));
        assert_eq!(guest.played().status, OK);
        refused(guest, 0, &counting(0..480));
    }),
    ("START twice", |guest| {
        prepared(guest, |guest| run(guest, |guest| not_allowed(guest, request::PCM_START)));
    }),
    ("STOP twice", |guest| {
        prepared(guest, |guest| {
            run(guest, |_| {});
            not_allowed(guest, request::PCM_STOP);
        });
    }),
    ("PREPARE, RELEASE and parameters while the stream runs", |guest| {
        prepared(guest, |guest| {
            run(guest, |guest| {
                not_allowed(guest, request::PCM_PREPARE);
                not_allowed(guest, request::PCM_RELEASE);
                assert_eq!(guest.command(&set_params(7680, 1920)), BAD_MSG);
                guest.play(0, &counting(0..480));
                assert_eq!(guest.played().status, OK, "the stream does not run any more");
            });
        });
    }),
    ("PREPARE and parameters after STOP", |guest| {
        prepared(guest, |guest| {
            run(guest, |_| {});
            not_allowed(guest, request::PCM_PREPARE);
            assert_eq!(guest.command(&set_params(7680, 1920)), BAD_MSG);
        });
    }),
    ("STOP before START", |guest| prepared(guest, |guest| not_allowed(guest, request::PCM_STOP))),
    ("RELEASE before PREPARE", |guest| {
        guest.must(&set_params(7680, 1920));
        not_allowed(guest, request::PCM_RELEASE);
    }),
    ("START and STOP before PREPARE", |guest| {
        guest.must(&set_params(7680, 1920));
        not_allowed(guest, request::PCM_START);
        not_allowed(guest, request::PCM_STOP);
    }),
    ("RELEASE twice", |guest| {
        prepared(guest, |_| {});
        not_allowed(guest, request::PCM_RELEASE);
    }),
    ("START after RELEASE", |guest| {
        prepared(guest, |_| {});
        not_allowed(guest, request::PCM_START);
    }),
    ("START without audio", |guest| prepared(guest, |guest| run(guest, |_| {}))),
    ("START and STOP a hundred times", |guest| {
        prepared(guest, |guest| {
            guest.play(0, &counting(0..480));
            (0..100).for_each(|_| run(guest, |_| {}));
        });
        assert_eq!(guest.played().status, OK);
    }),
    ("RELEASE in the middle of a message", |guest| {
        prepared(guest, |guest| {
            run(guest, |guest| (0..4).for_each(|index| guest.play(0, &counting(index..index + 480))));
        });
        (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
    }),
    ("bad parameters after good ones", |guest| {
        guest.must(&set_params(7680, 1920));
        assert_eq!(guest.command(&set_params(7681, 1920)), BAD_MSG);
        guest.must(&words(&[request::PCM_PREPARE, 0]));
        guest.must(&words(&[request::PCM_RELEASE, 0]));
    }),
    ("every size that does not divide", |guest| {
        for (buffer, period) in
            [(0, 0), (0, 1920), (7680, 1919), (7680, 2), (7680, 1921), (1920, 7680), (7680, u32::MAX)]
        {
            assert_eq!(guest.command(&set_params(buffer, period)), BAD_MSG, "{buffer} {period}");
        }
    }),
    ("every number for format, rate and channels", |guest| {
        for number in 0..=255 {
            for shift in [0, 8, 16, 24] {
                let form = 0x0007_0502 & !(0xff << shift) | number << shift;
                let bytes = 2 * 8 * 4 * 480;
                let status = guest.command(&words(&[request::PCM_SET_PARAMS, 0, bytes, bytes, 0, form]));
                assert!([OK, NOT_SUPP, BAD_MSG].contains(&status), "{form:#x}: {status:#x}");
            }
        }
    }),
    ("features that the device did not offer", |guest| {
        let request = words(&[request::PCM_SET_PARAMS, 0, 7680, 1920, u32::MAX, 0x0007_0502]);
        assert_eq!(guest.command(&request), NOT_SUPP);
    }),
    ("every code for a request, followed by ones", |guest| {
        for code in 0..0x400 {
            let status = guest.command(&[words(&[code]), vec![0xff; 28]].concat());
            assert_ne!(status, OK, "{code:#x}");
        }
    }),
    ("every request for a stream that does not exist", |guest| {
        for code in request::PCM_SET_PARAMS..=request::PCM_STOP {
            for stream in [64, 0x8000_0000, u32::MAX] {
                let request = words(&[code, stream, 7680, 1920, 0, 0x0007_0502]);
                assert_eq!(guest.command(&request), BAD_MSG, "{code:#x} {stream}");
            }
        }
    }),
    ("information on items beyond the last", |guest| {
        for code in [request::JACK_INFO, request::PCM_INFO, request::CHMAP_INFO] {
            for (start, count) in [(1000, 1), (u32::MAX, 1), (u32::MAX, u32::MAX), (0, 1000), (1, u32::MAX)] {
                let answer = guest.request(&words(&[code, start, count, 32]), 8000);
                assert_eq!(answer, words(&[BAD_MSG]), "{code:#x} {start} {count}");
            }
        }
    }),
    ("information of no bytes, and of 4 GiB", |guest| {
        assert_eq!(guest.request(&words(&[request::PCM_INFO, 0, 1, 0]), 4), words(&[OK]));
        assert_eq!(guest.request(&words(&[request::PCM_INFO, 0, 1, u32::MAX]), 8000), words(&[BAD_MSG]));
    }),
    ("the remapping of a jack", |guest| {
        assert_ne!(guest.command(&words(&[request::JACK_REMAP, 0, 0, 0])), OK);
    }),
    ("periods of one frame of one byte", |guest| {
        guest.must(&words(&[request::PCM_SET_PARAMS, 0, 2, 1, 0, 0x0007_0401]));
        guest.must(&words(&[request::PCM_PREPARE, 0]));
        guest.play(0, &[0x80]);
        guest.play(0, &[0x80]);
        run(guest, |guest| (0..2).for_each(|_| assert_eq!(guest.played().status, OK)));
        guest.must(&words(&[request::PCM_RELEASE, 0]));
    }),
    ("a message of several periods, and a message of a partial period", |guest| {
        prepared(guest, |guest| {
            guest.play(0, &counting(0..1440));
            guest.play(0, &counting(1440..1441));
            run(guest, |guest| (0..2).for_each(|_| assert_eq!(guest.played().status, OK)));
        });
    }),
    ("the largest buffer, and a larger one", |guest| {
        guest.must(&set_params(4 << 20, 4 << 20));
        assert_eq!(guest.command(&set_params(8 << 20, 4 << 20)), BAD_MSG);
        guest.must(&words(&[request::PCM_PREPARE, 0]));
        guest.must(&words(&[request::PCM_RELEASE, 0]));
    }),
];

/// Sends a command that the state of stream 0 does not allow.
fn not_allowed(guest: &mut Guest, code: u32) {
    assert_eq!(guest.command(&words(&[code, 0])), BAD_MSG, "{code:#x}");
}
