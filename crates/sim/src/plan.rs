//! What a world is made of, drawn from its seed.

use rejoin_wire::limits::MAX_FRAME_BYTES;
use rejoin_wire::{MIN_FRAME_BYTES, Scope};

use crate::dice::Dice;
use crate::plant::Plant;
use crate::world::ROOT;

/// How a world is built and what goes wrong in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of everything.
    pub seed: u64,
    /// Actions before the faults end.
    pub steps: u32,
    /// What each follower wants of the feed.
    pub followers: Vec<Option<Scope>>,
    /// How many relays there are, in a chain below the authority.
    pub relays: usize,
    /// How many of them are between each follower and the authority.
    pub relayed: Vec<usize>,
    /// How many documents there are.
    pub documents: usize,
    /// Pause between actions in microseconds, at most.
    pub pace_us: u64,
    /// Delay of a message in microseconds, at most.
    pub delay_us: u64,
    /// Wires that speak the binary encoding rather than JSON, in ten thousand.
    pub binary: u32,
    /// Largest frame that messages are cut into, in bytes.
    pub frame_bytes: usize,
    /// Bytes on their way in one direction beyond which the network takes no further frame.
    pub socket_bytes: usize,
    /// Silence after which the authority asks whether a link is alive, in microseconds; after twice of it the link is dead.
    pub heartbeat_us: u64,
    /// Delay of the disk in microseconds, at most.
    pub disk_us: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// Documents that a replica keeps in memory while nothing needs them.
    pub idle_documents: usize,
    /// Largest document that the authority takes, in bytes; clients take more, and learn it by a rejection.
    pub root_document_bytes: usize,
    /// Bytes that the authority looks at for one change before it has the decision made elsewhere.
    pub inline_bytes: usize,
    /// Time that a decision takes elsewhere in microseconds, at most.
    pub compute_us: u64,
    /// The fault that is planted, if any.
    pub plant: Option<Plant>,
    /// Whether every event is printed.
    pub trace: bool,
}

/// How often something goes wrong, in ten thousand chances: one an action, or one a request to a disk.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A link is cut; what is on its way is lost, or arrives late.
    pub cut: u32,
    /// A follower cannot reach the authority for a while.
    pub partition: u32,
    /// A link carries nothing for a while.
    pub stall: u32,
    /// Of a frame on its way comes something that no correct peer sends.
    pub garbage: u32,
    /// A follower's process ends, and only durable writes stay.
    pub crash: u32,
    /// The same at the authority.
    pub crash_root: u32,
    /// A request to a disk fails for the moment.
    pub disk: u32,
    /// A follower's disk is full.
    pub full: u32,
    /// Another writer was first, at the authority.
    pub conflict: u32,
    /// A follower may not edit for a while.
    pub forbid: u32,
    /// A follower's disk is copied, and the copy starts as one more replica.
    pub copy: u32,
    /// The authority starts again from an older image of its disk.
    pub restore: u32,
    /// What a follower has stored is cleared under it, or gives way to an empty store.
    pub clear: u32,
    /// While the authority is down, something that it has stored of a document goes bad which somebody else holds.
    pub rot: u32,
}

impl Plan {
    /// The world of a seed.
    pub fn of_seed(seed: u64, steps: u32) -> Self {
        let mut dice = Dice::new(u128::from(seed) << 64 | 0x706c_616e);
        let followers = dice.between(2, 4);
        let scope = |dice: &mut Dice| {
            dice.weighted(&[(60, Some(Scope::Documents)), (15, Some(Scope::List)), (25, None)])
        };
        let followers: Vec<_> = (0..followers).map(|_| scope(&mut dice)).collect();
        // Of dice of their own, so that the worlds without relays stay what they are.
        let mut chain = Dice::new(u128::from(seed) << 64 | 0x7265_6c61);
        let relays = chain.weighted(&[(65, 0), (25, 1), (10, 2)]);
        let relayed = followers.iter().map(|_| chain.below(relays + 1)).collect();
        let often = |dice: &mut Dice, most: u64| u32::try_from(dice.between(0, most)).unwrap_or(0);
        let calm = dice.chance(1_500);
        let faults = if calm {
            Faults::default()
        } else {
            Faults {
                cut: often(&mut dice, 400),
                partition: often(&mut dice, 300),
                stall: often(&mut dice, 300),
                garbage: if dice.chance(2_500) { often(&mut dice, 60) } else { 0 },
                crash: often(&mut dice, 200),
                crash_root: often(&mut dice, 120),
                disk: if dice.chance(5_000) { often(&mut dice, 500) } else { 0 },
                full: if dice.chance(500) { 20 } else { 0 },
                conflict: if dice.chance(2_000) { often(&mut dice, 100) } else { 0 },
                forbid: if dice.chance(3_000) { often(&mut dice, 300) } else { 0 },
                copy: if dice.chance(1_200) { 100 } else { 0 },
                restore: if dice.chance(1_200) { 100 } else { 0 },
                clear: 0,
                rot: 0,
            }
        };
        // Likewise. Where the authority goes back as well, or disks are full, nobody may hold what is lost.
        let mut rot = Dice::new(u128::from(seed) << 64 | 0x0072_6f74);
        let may_rot = faults.crash_root > 0 && faults.restore == 0 && faults.full == 0;
        let faults =
            Faults { rot: if may_rot && rot.chance(5_000) { often(&mut rot, 10_000) } else { 0 }, ..faults };
        let mut clear = Dice::new(u128::from(seed) << 64 | 0x636c_6561);
        let clears = !calm && clear.chance(3_300);
        let faults = Faults { clear: if clears { often(&mut clear, 200) } else { 0 }, ..faults };
        Self {
            seed,
            steps,
            followers,
            relays,
            relayed,
            documents: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            pace_us: *dice.pick(&[2_000, 40_000, 400_000]),
            delay_us: *dice.pick(&[500, 20_000, 200_000]),
            binary: *dice.pick(&[10_000, 10_000, 5_000, 0]),
            frame_bytes: *dice.pick(&[MIN_FRAME_BYTES, 1_500, MAX_FRAME_BYTES]),
            socket_bytes: *dice.pick(&[2_000, 64 << 10]),
            heartbeat_us: *dice.pick(&[4_000_000, 30_000_000]),
            disk_us: *dice.pick(&[100, 3_000, 50_000]),
            faults,
            idle_documents: if dice.chance(2_500) { 1 } else { 1_024 },
            root_document_bytes: if dice.chance(1_000) { 1_200 } else { 8 << 20 },
            inline_bytes: *dice.pick(&[1 << 20, 1 << 20, 500, 0]),
            compute_us: *dice.pick(&[100, 20_000, 500_000]),
            plant: None,
            trace: false,
        }
    }

    /// The node that another is connected to. After the authority come the followers, then the relays.
    pub(crate) fn above(&self, node: usize) -> usize {
        let followers = self.followers.len();
        let relays = match self.relayed.get(node - 1) {
            Some(relays) => *relays,
            None => node - 1 - followers,
        };
        if relays == 0 { ROOT } else { followers + relays }
    }

    /// A world in which nothing goes wrong by itself and nobody acts, for plots.
    pub fn still(followers: usize, documents: usize) -> Self {
        Self {
            seed: 1,
            steps: 0,
            followers: vec![Some(Scope::Documents); followers],
            relays: 0,
            relayed: vec![0; followers],
            documents,
            pace_us: 1_000,
            delay_us: 1_000,
            binary: 10_000,
            frame_bytes: MAX_FRAME_BYTES,
            socket_bytes: 64 << 10,
            heartbeat_us: 30_000_000,
            disk_us: 500,
            faults: Faults::default(),
            idle_documents: 1_024,
            root_document_bytes: 8 << 20,
            inline_bytes: 1 << 20,
            compute_us: 500,
            plant: None,
            trace: false,
        }
    }
}
