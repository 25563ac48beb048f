// How an arbiter's value is stored, in a file or in etcd: JSON with the number of its format.
using System.Text.Json;
using System.Text.Json.Nodes;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host;

/// <summary>Format 2. Format 1 had no number, and of each member its id only; it is still read.</summary>
public static class ArbiterValueFormat
{
    private const int Format = 2;

    private static readonly JsonSerializerOptions Json = new() { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static string Write(ArbiterValue value, bool indented)
    {
        JsonObject json = JsonSerializer.SerializeToNode(value)!.AsObject();
        json.Insert(0, nameof(Format), Format);
        return json.ToJsonString(indented ? Indented : null);
    }

    /// <exception cref="JsonException">It is no value, or one that another version of the program wrote; the message is the sentence.</exception>
    public static ArbiterValue Read(ReadOnlySpan<byte> text)
    {
        Utf8JsonReader reader = new(text);
        if (JsonNode.Parse(ref reader) is not JsonObject json || reader.Read()) throw new JsonException("it is no JSON object");
        if (!json.ContainsKey(nameof(Format))) Convert(json);
        else if (json[nameof(Format)] is not JsonValue number || !number.TryGetValue(out int format) || format != Format)
        {
            throw new JsonException($"it has the format {json[nameof(Format)]}; this program knows {Format} and before: use the version that wrote it on all hosts");
        }
        ArbiterValue value = json.Deserialize<ArbiterValue>(Json) ?? throw new JsonException("it is null");
        return value.Quorum >= 0 && value.Quorum <= value.Members.Count ? value : throw new JsonException($"it has a quorum of {value.Quorum} of {value.Members.Count} members");
    }

    private static void Convert(JsonObject json)
    {
        if (json[nameof(ArbiterValue.Members)] is not JsonArray ids) return;
        json[nameof(ArbiterValue.Quorum)] = ids.Count;
        json[nameof(ArbiterValue.Members)] = new JsonArray([.. ids.Select(id => (JsonNode)new JsonObject
        {
            [nameof(ArbiterMember.Id)] = id?.DeepClone(),
            [nameof(ArbiterMember.Address)] = "",
            [nameof(ArbiterMember.Session)] = 0,
        })]);
    }
}
