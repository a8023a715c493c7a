//! What a message can be about, and the ways it can go.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$about])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The word for it on the wire and in records.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

words! {
    /// What a message is about.
    Kind {
        /// Money was paid in.
        Deposit = "deposit",
        /// Money was paid out.
        Withdrawal = "withdrawal",
        /// A transfer between shards has left and has not arrived yet.
        TransferPending = "transfer_pending",
        /// A transfer arrived.
        TransferCompleted = "transfer_completed",
        /// A transfer between shards failed, and the money is back.
        TransferFailed = "transfer_failed",
        /// A transfer came in.
        TransferReceived = "transfer_received",
        /// Money was reserved.
        HoldPlaced = "hold_placed",
        /// Reserved money was taken.
        HoldCaptured = "hold_captured",
        /// A reservation was given up.
        HoldVoided = "hold_voided",
        /// A reservation's time was over.
        HoldExpired = "hold_expired",
        /// Interest was paid or charged.
        Interest = "interest",
        /// A fee was charged.
        Fee = "fee",
        /// A transfer was reversed.
        Reversal = "reversal",
        /// A statement can be read.
        StatementReady = "statement_ready",
        /// A standing order was not executed, and is not tried again for that day.
        StandingOrderRefused = "standing_order_refused",
        /// The balance fell below what the customer set.
        LowBalance = "low_balance",
        /// Something that the customer should know at any hour: who may use an account, or where messages go, changed.
        Security = "security",
    }
}

impl Kind {
    /// Whether it is sent at any hour, whatever its amount.
    pub const fn is_urgent(self) -> bool {
        matches!(self, Kind::Security)
    }

    /// Whether a minimum amount keeps it back. What corrects or warns is never kept back by an amount.
    pub const fn has_minimum(self) -> bool {
        !matches!(
            self,
            Kind::Security
                | Kind::LowBalance
                | Kind::StatementReady
                | Kind::StandingOrderRefused
                | Kind::TransferFailed
        )
    }
}

words! {
    /// A way to a customer, or to another system. Each follows the journal by itself, so that none waits for another.
    Channel {
        /// E-mail, over SMTP.
        Email = "email",
        /// Short messages to a telephone.
        Sms = "sms",
        /// Messages of WhatsApp.
        Whatsapp = "whatsapp",
        /// Push messages to applications, by Firebase Cloud Messaging.
        Fcm = "fcm",
        /// Push messages to browsers, by Web Push.
        WebPush = "web_push",
        /// Signed requests to other systems.
        Webhook = "webhook",
    }
}

words! {
    /// What a customer chooses from.
    Choice {
        /// E-mail to the address in the profile.
        Email = "email",
        /// Short messages to the number in the profile.
        Sms = "sms",
        /// WhatsApp to the number in the profile.
        Whatsapp = "whatsapp",
        /// Push messages to the customer's devices.
        Push = "push",
    }
}

impl Channel {
    /// What a customer chooses it by; none for what is no customer's choice.
    pub const fn choice(self) -> Option<Choice> {
        match self {
            Channel::Email => Some(Choice::Email),
            Channel::Sms => Some(Choice::Sms),
            Channel::Whatsapp => Some(Choice::Whatsapp),
            Channel::Fcm | Channel::WebPush => Some(Choice::Push),
            Channel::Webhook => None,
        }
    }
}
