"""Multi-Region keys in tests: clients of three Regions of one server, and keys that have relatives there.

Creating and Updating last DELAY seconds of the life-cycle clock on these servers, so that they can be looked at.
"""

EAST, WEST, AP = "us-east-1", "us-west-2", "ap-east-1"
ACCOUNT = "000000000000"
DELAY = 60
ROTATION_DELAY = 3600
DAY = 86400
FLAGS = ("--region-delay=%d" % DELAY, "--rotation-delay=%d" % ROTATION_DELAY)


def arn(key_id, region):
    return "arn:aws:kms:%s:%s:key/%s" % (region, ACCOUNT, key_id)


def metadata(client, key_id):
    return client.describe_key(KeyId=key_id)["KeyMetadata"]


def state(client, key_id):
    return metadata(client, key_id)["KeyState"]


def relatives(key_id, kind, primary, *replicas):
    """MultiRegionConfiguration as every answer must show it."""
    def one(region):
        return {"Arn": arn(key_id, region), "Region": region}

    return {"MultiRegionKeyType": kind, "PrimaryKey": one(primary), "ReplicaKeys": [one(r) for r in sorted(replicas)]}


class Regions:
    """One server and its clients."""

    def __init__(self, server):
        self.server = server
        self.clients = {}

    def __getitem__(self, region):
        if region not in self.clients:
            self.clients[region] = self.server.client(region=region)
        return self.clients[region]

    @property
    def east(self):
        return self[EAST]

    @property
    def west(self):
        return self[WEST]

    @property
    def ap(self):
        return self[AP]

    def settle(self):
        """Creating and Updating end."""
        self.server.advance(DELAY)

    def key(self, *replicas, **more):
        """A primary in us-east-1 with settled replicas; its metadata."""
        key = self.east.create_key(MultiRegion=True, **more)["KeyMetadata"]
        for region in replicas:
            self.east.replicate_key(KeyId=key["KeyId"], ReplicaRegion=region)
        if replicas:
            self.settle()
        return key

    def promote(self, key_id, region, to):
        self[region].update_primary_region(KeyId=key_id, PrimaryRegion=to)
        self.settle()
