// Prints who it is at STS, by nothing but the default provider chain of the AWS SDK for JavaScript.
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const who = await new STSClient({ maxAttempts: 1 }).send(new GetCallerIdentityCommand({}));
console.log(who.Arn);
