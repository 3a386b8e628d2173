internal import ReliabilityStore

/// The division of a relay's claims into those to deliver, the one to deliver alone, and those to give back.
///
/// A message whose last delivery nobody settled may have ended the process. It is delivered while nothing else is, so
/// that another crash is nobody else's, and only when the relay has run for a while, so that a process that crashes and
/// is started again at once does not use up the message's attempts in seconds.
struct ClaimPlan: Sendable {
    /// A message that goes back to the store, undelivered and its attempt not counted.
    struct Return: Hashable, Sendable {
        var claim: RecordClaim
        var wait: Duration
        var settlement: Settlement { Settlement(claim, claim.giveBack(after: wait)) }
    }

    /// The messages to deliver side by side.
    private(set) var deliveries: [RecordClaim] = []
    /// The message to deliver alone.
    private(set) var alone: RecordClaim?
    private(set) var returns: [Return] = []

    /// Plans the deliveries of some claims.
    ///
    /// - Parameters:
    ///   - claims: What the store handed out.
    ///   - maxAttempts: How many deliveries a message gets. One that had them is dead, without a delivery.
    ///   - uptime: How long the relay has run.
    ///   - waitAfterCrash: How long a relay has to have run for a message to be delivered again after so many deliveries.
    init(
        _ claims: [RecordClaim],
        maxAttempts: Int,
        uptime: Duration,
        waitAfterCrash: (_ attempts: Int) -> Duration
    ) {
        var innocent: [RecordClaim] = []
        for claim in claims {
            if !claim.wasAbandoned || claim.attempt > maxAttempts {
                innocent.append(claim)
                continue
            }
            let wait = waitAfterCrash(claim.attempt - 1)
            if uptime < wait {
                returns.append(Return(claim: claim, wait: wait - uptime))
            } else if alone == nil {
                alone = claim
            } else {
                returns.append(Return(claim: claim, wait: .zero))
            }
        }
        if alone == nil {
            deliveries = innocent
        } else {
            returns += innocent.map { Return(claim: $0, wait: .zero) }
        }
    }
}

extension RecordClaim {
    /// The settlement that undoes the claim: the record is due again after a wait, as it was before.
    func giveBack(after wait: Duration) -> Settlement.Action {
        wasAbandoned ? .holdBack(wait) : .retry(after: wait, countsAttempt: false)
    }
}
