// What can go wrong with an etcd.
namespace Emu86.Ft.Host.Etcd;

public enum EtcdFailure
{
    /// <summary>Nobody answers, or a cluster without a majority does: it may be there later.</summary>
    Unreachable,

    /// <summary>What answers is no etcd with the API v3, or one that refuses.</summary>
    Unusable,

    /// <summary>The lease that was named has ended.</summary>
    NoLease,
}

/// <summary>Nothing is known of what etcd was asked, not even whether it was done. The message is a sentence that says why.</summary>
public sealed class EtcdException(EtcdFailure failure, string message) : Exception(message)
{
    public EtcdFailure Failure => failure;
}
