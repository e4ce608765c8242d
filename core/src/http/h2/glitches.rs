//! `h2_glitch_budget`: what a connection may spend on frames that cost us work and bring no request forward. Here live
//! the sum, its refill and the two marks (75 %, 100 %). Which frame is a glitch is decided in `observer/state.rs`; what
//! follows (GOAWAY, close) in `h2.rs`. There is no clock here: the driver hands in its coarse one.

/// One whole charge. Sums are kept in quarters because a reset after the answer began costs a quarter.
pub(super) const WHOLE: u32 = 4;

/// A reset of a stream whose answer had begun.
pub(super) const QUARTER: u32 = 1;

/// One quarter comes back every 25 ms: 10 whole charges per second.
const MILLISECONDS_PER_QUARTER: u64 = 25;

/// What a charge was for: the `kind` label of `bartizan_h2_glitches_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Glitch {
    /// The peer reset a stream.
    ResetReceived,
    /// We reset a stream, induced or not: MadeYouReset (CVE-2025-8671) shows that the difference cannot be trusted.
    ResetSent,
    /// A PING, or a PING ACK that nobody asked for (CVE-2019-9512).
    Ping,
    /// SETTINGS after the first, or an ACK that nobody asked for (CVE-2019-9515).
    Settings,
    /// PRIORITY (CVE-2019-9513), and frames of unknown type: the one that clients do send is PRIORITY_UPDATE (RFC 9218),
    /// and like PRIORITY they are advice that may be ignored.
    Priority,
    /// A WINDOW_UPDATE too small to be progress (CVE-2019-9511).
    WindowUpdate,
    /// Empty or tiny DATA on top of DATA that is still unread (CVE-2019-9518).
    Data,
    /// An empty header list (CVE-2019-9516), or a CONTINUATION past the fourth (CVE-2024-27316).
    Headers,
}

impl Glitch {
    /// Every kind, in the order of [`Budget::counts`].
    pub(crate) const ALL: [Self; 8] = [
        Self::ResetReceived,
        Self::ResetSent,
        Self::Ping,
        Self::Settings,
        Self::Priority,
        Self::WindowUpdate,
        Self::Data,
        Self::Headers,
    ];

    /// How many kinds there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// The stable name of the metric's label.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ResetReceived => "reset_received",
            Self::ResetSent => "reset_sent",
            Self::Ping => "ping",
            Self::Settings => "settings",
            Self::Priority => "priority",
            Self::WindowUpdate => "window_update",
            Self::Data => "data",
            Self::Headers => "headers",
        }
    }

    const fn is_reset(self) -> bool {
        matches!(self, Self::ResetReceived | Self::ResetSent)
    }
}

/// The budget of one connection, in quarters of a charge.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u32,
    spent: u32,
    /// Charges since the budget was last whole, and how many of them were resets: they tell `h2.resets` from
    /// `h2.glitches`. Refills do not touch them, or a slow mixture would be judged by its last frame.
    charged: u64,
    charged_for_resets: u64,
    refilled_at: u64,
    warned: bool,
    exhausted: bool,
    /// All charges ever, by kind and together.
    counts: [u32; Glitch::COUNT],
    charges: u32,
}

impl Budget {
    /// A whole budget of `charges`; `now` is the driver's clock in milliseconds.
    pub(super) fn new(charges: u32, now: u64) -> Self {
        Self {
            limit: charges.saturating_mul(WHOLE),
            spent: 0,
            charged: 0,
            charged_for_resets: 0,
            refilled_at: now,
            warned: false,
            exhausted: false,
            counts: [0; Glitch::COUNT],
            charges: 0,
        }
    }

    /// Takes `quarters` for `glitch`; nothing is taken and counted for 0.
    pub(super) fn charge(&mut self, glitch: Glitch, quarters: u32) {
        if quarters == 0 {
            return;
        }
        let count = &mut self.counts[glitch as usize];
        *count = count.saturating_add(1);
        self.charges = self.charges.wrapping_add(1);
        self.charged += u64::from(quarters);
        if glitch.is_reset() {
            self.charged_for_resets += u64::from(quarters);
        }
        self.spent = self.spent.saturating_add(quarters);
        self.warned |= u64::from(self.spent) * 4 >= u64::from(self.limit) * 3;
        self.exhausted |= self.spent >= self.limit;
    }

    /// Gives back what time has earned up to `now`. A budget that is whole earns nothing: quiet time is no credit.
    pub(super) fn refill(&mut self, now: u64) {
        let quarters = now.saturating_sub(self.refilled_at) / MILLISECONDS_PER_QUARTER;
        self.refilled_at += quarters * MILLISECONDS_PER_QUARTER;
        self.give_back(u32::try_from(quarters).unwrap_or(u32::MAX));
    }

    /// Gives back one charge for a request answered in full.
    pub(super) fn request_completed(&mut self) {
        self.give_back(WHOLE);
    }

    fn give_back(&mut self, quarters: u32) {
        self.spent = self.spent.saturating_sub(quarters);
        if self.spent == 0 {
            self.charged = 0;
            self.charged_for_resets = 0;
        }
    }

    /// Whether 75 % was ever reached. For good: a graceful GOAWAY cannot be taken back.
    pub(super) fn warned(&self) -> bool {
        self.warned
    }

    /// Whether 100 % was ever reached.
    pub(super) fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether more than half of what was charged went to resets.
    pub(super) fn mostly_resets(&self) -> bool {
        self.charged_for_resets * 2 > self.charged
    }

    /// Changes with every charge: cheaper to look at than [`Budget::counts`].
    pub(super) fn charges(&self) -> u32 {
        self.charges
    }

    /// How often each kind was charged, over the connection's life.
    pub(super) fn counts(&self) -> [u32; Glitch::COUNT] {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Glitch, QUARTER, WHOLE};

    fn charge(budget: &mut Budget, glitch: Glitch, times: usize) {
        for _ in 0..times {
            budget.charge(glitch, WHOLE);
        }
    }

    #[test]
    fn the_warning_comes_with_the_75th_charge_and_the_end_with_the_100th() {
        let mut budget = Budget::new(100, 0);
        charge(&mut budget, Glitch::Ping, 74);
        assert!(!budget.warned());
        charge(&mut budget, Glitch::Ping, 1);
        assert!(budget.warned() && !budget.exhausted());
        charge(&mut budget, Glitch::Ping, 24);
        assert!(!budget.exhausted());
        charge(&mut budget, Glitch::Ping, 1);
        assert!(budget.exhausted());
    }

    #[test]
    fn quarters_add_up() {
        let mut budget = Budget::new(1, 0);
        for _ in 0..3 {
            budget.charge(Glitch::ResetReceived, QUARTER);
        }
        assert!(budget.warned() && !budget.exhausted());
        budget.charge(Glitch::ResetReceived, QUARTER);
        assert!(budget.exhausted());
    }

    #[test]
    fn ten_per_second_never_warn_and_eleven_do_in_the_end() {
        for (per_second, warns) in [(10, false), (11, true)] {
            let mut budget = Budget::new(100, 0);
            for second in 1..=100 {
                charge(&mut budget, Glitch::Settings, per_second);
                budget.refill(second * 1000);
            }
            assert_eq!(budget.warned(), warns, "{per_second} per second");
        }
    }

    #[test]
    fn a_refill_in_steps_loses_nothing_to_rounding() {
        let mut budget = Budget::new(100, 0);
        charge(&mut budget, Glitch::Ping, 50);
        for now in 1..=1000 {
            budget.refill(now);
        }
        assert_eq!(budget.spent, 40 * WHOLE);
        budget.refill(3);
        assert_eq!(budget.spent, 40 * WHOLE, "a clock that steps back gives nothing");
    }

    #[test]
    fn quiet_time_cannot_be_saved_up() {
        let mut budget = Budget::new(10, 0);
        budget.refill(1_000_000);
        charge(&mut budget, Glitch::Ping, 10);
        assert!(budget.exhausted());
    }

    #[test]
    fn a_completed_request_pays_for_one_glitch() {
        let mut budget = Budget::new(4, 0);
        for _ in 0..1000 {
            charge(&mut budget, Glitch::Ping, 1);
            budget.request_completed();
        }
        assert!(!budget.warned());
    }

    #[test]
    fn the_end_is_for_good() {
        let mut budget = Budget::new(4, 0);
        charge(&mut budget, Glitch::Ping, 4);
        budget.refill(60_000);
        assert!(budget.warned() && budget.exhausted());
    }

    #[test]
    fn more_than_half_resets_is_told_apart() {
        let mut budget = Budget::new(100, 0);
        charge(&mut budget, Glitch::Ping, 10);
        charge(&mut budget, Glitch::ResetSent, 5);
        charge(&mut budget, Glitch::ResetReceived, 5);
        assert!(!budget.mostly_resets());
        budget.charge(Glitch::ResetReceived, QUARTER);
        assert!(budget.mostly_resets());
    }

    #[test]
    fn what_costs_nothing_is_not_counted() {
        let mut budget = Budget::new(100, 0);
        budget.charge(Glitch::ResetSent, 0);
        budget.charge(Glitch::Data, WHOLE);
        let mut expected = [0; Glitch::COUNT];
        expected[Glitch::Data as usize] = 1;
        assert_eq!(budget.counts(), expected);
    }

    #[test]
    fn kinds_stand_at_their_own_index() {
        for (index, glitch) in Glitch::ALL.into_iter().enumerate() {
            assert_eq!(glitch as usize, index);
        }
    }
}
