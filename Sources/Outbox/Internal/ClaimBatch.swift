internal import ReliabilityStore

/// The claims of one request, divided into claims to deliver, a claim to deliver alone, and claims to give back.
///
/// A message whose last delivery was never settled may have ended the process. Such a message is delivered alone, so
/// that another crash affects no other message. Its delivery begins only when the relay has run for a while. Otherwise
/// a process that crashes and restarts immediately would use up the attempts in seconds.
struct ClaimBatch: Sendable {
    /// A claim that is given back undelivered without counting the attempt.
    struct GivenBack: Hashable, Sendable {
        var claim: RecordClaim
        var wait: Duration
        var settlement: Settlement { Settlement(claim, claim.giveBack(after: wait)) }
    }

    /// The claims to deliver at the same time.
    private(set) var deliveries: [RecordClaim] = []
    /// The claim to deliver alone, or `nil` if there is none.
    private(set) var alone: RecordClaim?
    /// The claims to give back.
    private(set) var givenBack: [GivenBack] = []

    /// Creates a batch without claims.
    init() {}

    /// Divides the claims of a request.
    ///
    /// - Parameters:
    ///   - claims: The claims.
    ///   - maxAttempts: The largest number of deliveries of a message. A message beyond the number becomes a dead
    ///     letter without a delivery, so its claim need not be delivered alone.
    ///   - uptime: The time for which the relay has run.
    ///   - waitAfterCrash: The least uptime for another delivery by the number of earlier deliveries.
    init(
        _ claims: [RecordClaim],
        maxAttempts: Int,
        uptime: Duration,
        waitAfterCrash: (_ attempts: Int) -> Duration
    ) {
        var ordinary: [RecordClaim] = []
        for claim in claims {
            if !claim.wasAbandoned || claim.attempt > maxAttempts {
                ordinary.append(claim)
                continue
            }
            let wait = waitAfterCrash(claim.attempt - 1)
            if uptime < wait {
                givenBack.append(GivenBack(claim: claim, wait: wait - uptime))
            } else if alone == nil {
                alone = claim
            } else {
                givenBack.append(GivenBack(claim: claim, wait: .zero))
            }
        }
        if alone == nil {
            deliveries = ordinary
        } else {
            givenBack += ordinary.map { GivenBack(claim: $0, wait: .zero) }
        }
    }
}

extension RecordClaim {
    /// Returns the settlement that undoes the claim: the record is due again after a wait, in its earlier state.
    func giveBack(after wait: Duration) -> Settlement.Action {
        wasAbandoned ? .holdBack(wait) : .retry(after: wait, countsAttempt: false)
    }
}
