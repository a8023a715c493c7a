//! The number of each variant in files. These numbers are the format: they are never changed and never used again.

use ledger::account::{AccountKind, FreezeKind, Status, SystemKind};
use ledger::customer::ProfileField;
use ledger::dead_letter::DeadLetterStatus;
use ledger::event::{AccountChange, Channel, DeadLetterChange, HoldChange};
use ledger::hold::HoldStatus;
use ledger::limit::LimitKind;
use ledger::saga::{PartState, StepKind};
use ledger::token::Role;
use ledger::transfer::{Side, TransferKind};

/// Something that is one byte in files.
pub(super) trait Tagged: Copy {
    /// What it is, for errors.
    const WHAT: &'static str;

    /// Its number.
    fn tag(self) -> u8;

    /// What has this number.
    fn from_tag(tag: u8) -> Option<Self>;
}

macro_rules! tags {
    ($($type:ident $what:literal: $($first:ident :: $second:ident $(($($inner:ident)::+))? = $tag:literal),+;)*) => {$(
        impl Tagged for $type {
            const WHAT: &'static str = $what;

            #[inline]
            fn tag(self) -> u8 {
                match self {
                    $($first::$second $(($($inner)::+))? => $tag,)+
                }
            }

            #[inline]
            fn from_tag(tag: u8) -> Option<$type> {
                match tag {
                    $($tag => Some($first::$second $(($($inner)::+))?),)+
                    _ => None,
                }
            }
        }
    )*};
}

tags! {
    Channel "channel": Channel::Http = 0, Channel::File = 1, Channel::Kafka = 2, Channel::Timer = 3, Channel::Saga = 4;
    Side "side": Side::Debit = 0, Side::Credit = 1;
    TransferKind "kind of transfer": TransferKind::Deposit = 0, TransferKind::Withdrawal = 1, TransferKind::Transfer = 2,
        TransferKind::Capture = 3, TransferKind::Reversal = 4, TransferKind::Move = 5, TransferKind::Interest = 6,
        TransferKind::Fee = 7, TransferKind::Exchange = 8;
    HoldStatus "status of a hold": HoldStatus::Held = 0, HoldStatus::Captured = 1, HoldStatus::Voided = 2,
        HoldStatus::Expired = 3;
    HoldChange "change of a hold": HoldChange::Placed = 0, HoldChange::Voided = 1, HoldChange::Expired = 2,
        HoldChange::Nothing = 3;
    Status "status of an account": Status::Active = 0, Status::Frozen(FreezeKind::Debit) = 1,
        Status::Frozen(FreezeKind::Full) = 2, Status::Closed = 3;
    AccountKind "kind of account": AccountKind::Checking = 0, AccountKind::Savings = 1,
        AccountKind::System(SystemKind::Cash) = 16, AccountKind::System(SystemKind::Clearing) = 17,
        AccountKind::System(SystemKind::Expense) = 18, AccountKind::System(SystemKind::Income) = 19,
        AccountKind::System(SystemKind::Suspense) = 20, AccountKind::System(SystemKind::Atm) = 21,
        AccountKind::System(SystemKind::Correspondent) = 22, AccountKind::System(SystemKind::Other) = 23,
        AccountKind::System(SystemKind::FxPosition) = 24, AccountKind::System(SystemKind::FxResult) = 25;
    AccountChange "change of an account": AccountChange::Opened = 0, AccountChange::TermsChanged = 1,
        AccountChange::Frozen = 2, AccountChange::Unfrozen = 3, AccountChange::Closed = 4, AccountChange::Nothing = 5;
    ProfileField "field of a profile": ProfileField::Name = 0, ProfileField::DateOfBirth = 1,
        ProfileField::NationalId = 2, ProfileField::Email = 3, ProfileField::Phone = 4, ProfileField::Locale = 5;
    DeadLetterStatus "status of a dead letter": DeadLetterStatus::Waiting = 0, DeadLetterStatus::Redriven = 1,
        DeadLetterStatus::Discarded = 2;
    DeadLetterChange "change of a dead letter": DeadLetterChange::Recorded = 0, DeadLetterChange::RedriveBegun = 1,
        DeadLetterChange::RedriveFailed = 2, DeadLetterChange::Redriven = 3, DeadLetterChange::Discarded = 4,
        DeadLetterChange::Nothing = 5;
    Role "role": Role::Admin = 0, Role::Teller = 1, Role::Auditor = 2;
    StepKind "step of a saga": StepKind::Started = 0, StepKind::Granted = 1, StepKind::Posting = 2, StepKind::Aborting = 3,
        StepKind::PartDone = 4, StepKind::Completed = 5, StepKind::Failed = 6, StepKind::Cancelling = 7,
        StepKind::Executed = 8, StepKind::Prepared = 9, StepKind::Refused = 10, StepKind::Posted = 11,
        StepKind::Released = 12, StepKind::Ignored = 13,
        StepKind::MovedOut = 14, StepKind::MovedIn = 15;
    PartState "state of a part": PartState::Asked = 0, PartState::Granted = 1, PartState::Done = 2;
    LimitKind "limit": LimitKind::PerTransfer = 0, LimitKind::DailyDebit = 1, LimitKind::MonthlyDebit = 2,
        LimitKind::ActiveHolds = 3;
}
